/** @file What a field of a request may be: supported, ignored, or accepted only at values that change nothing. */
import { z } from "zod";

export interface Field<T extends z.ZodType = z.ZodType> {
  readonly support: "supported" | "ignored" | "no-op values only";
  readonly schema: T;
  readonly description: string;
}

export type Fields = Readonly<Record<string, Field>>;

/** Set among a zod issue's `params` where a field is not supported with the value it has. */
export const unsupported = "unsupported";

/** A field that does what its API says. */
export const supported = <T extends z.ZodType>(schema: T, description: string): Field<T> => ({
  support: "supported",
  schema,
  description,
});

/** A field with no bearing on the result, whatever its value. */
export const ignored = <T extends z.ZodType>(schema: T, description: string): Field<T> => ({
  support: "ignored",
  schema,
  description,
});

/** A field that is not supported, and may hold only values that mean the same as leaving it out. */
export const only = (values: readonly unknown[], description: string): Field<z.ZodUnknown> => ({
  support: "no-op values only",
  schema: z
    .unknown()
    .refine((given) => given === undefined || values.some((value) => Bun.deepEquals(given, value)), {
      params: { [unsupported]: true },
      error: ({ input }) => `${shown(input)} is not supported; ${remedy(values)}`,
    })
    .meta({ enum: [...values] }),
  description,
});

const remedy = (values: readonly unknown[]) =>
  `leave it out${values.length ? `, or send ${values.map((value) => JSON.stringify(value)).join(" or ")}` : ""}`;

/** A value as JSON, its beginning if it is long. */
function shown(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

type ShapeOf<F extends Fields> = { [K in keyof F]: z.ZodOptional<z.ZodNullable<F[K]["schema"]>> };

/** The members of an object schema; each may be left out or null. */
export function optional<F extends Fields>(fields: F): ShapeOf<F> {
  const entries = Object.entries(fields).map(([name, { schema, description }]) => [
    name,
    schema.nullish().describe(description),
  ]);
  return Object.fromEntries(entries) as ShapeOf<F>;
}
