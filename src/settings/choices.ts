/** @file Settings that choose an entry of a table, or one kind of several with settings of their own. */
import { z } from "zod";

type Table = Readonly<Record<string, { readonly description: string }>>;

const list = (
  about: string,
  choices: readonly (readonly [name: string, description?: string | undefined])[],
) => `${about}. ${choices.map(([name, description]) => `${name}: ${description}`).join("; ")}`;

/** A key of a table; the setting's description lists all keys with theirs. */
export function oneOf<T extends Table>(table: T, fallback: keyof T & string, about: string) {
  const keys = Object.keys(table) as (keyof T & string)[];
  const choices = keys.map((key) => [key, table[key].description] as const);
  return z
    .enum(keys)
    .default(fallback as never)
    .describe(list(about, choices));
}

type Kind = z.ZodObject<{ kind: z.ZodLiteral<string> }>;

/** A kind with its settings, or, where these have defaults, its name alone; the description lists all kinds. */
export function oneKind<O extends readonly [Kind, ...Kind[]]>(
  union: z.ZodDiscriminatedUnion<O>,
  fallback: z.infer<O[number]>["kind"],
  about: string,
) {
  const kinds = union.options.map(({ shape, description }) => [shape.kind.value, description] as const);
  const byName = z.enum(kinds.map(([kind]) => kind)).transform((kind) => union.parse({ kind }));
  return z.union([byName, union]).prefault(fallback).describe(list(about, kinds));
}
