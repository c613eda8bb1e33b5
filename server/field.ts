/** @file Kinds of request fields: supported, ignored, or accepted only at values that have no effect. */
import { z } from "zod";

export interface Field<T extends z.ZodType = z.ZodType> {
  readonly support: "supported" | "ignored" | "no-op values only";
  readonly schema: T;
  readonly description: string;
}

export type Fields = Readonly<Record<string, Field>>;

/** Key in a zod issue's `params`, set if the field is not supported at its value. */
export const unsupported = "unsupported";

/** A field that works as its API documents it. */
export const supported = <T extends z.ZodType>(schema: T, description: string): Field<T> => ({
  support: "supported",
  schema,
  description,
});

/** A field that cannot affect the result, whatever its value. */
export const ignored = <T extends z.ZodType>(schema: T, description: string): Field<T> => ({
  support: "ignored",
  schema,
  description,
});

/** An unsupported field: accepted at the values that mean the same as leaving it out. */
export const only = (values: readonly unknown[], description: string): Field<z.ZodUnknown> => ({
  support: "no-op values only",
  schema: z
    .unknown()
    .refine((given) => given === undefined || values.some((value) => Bun.deepEquals(given, value)), {
      params: { [unsupported]: true },
      error: ({ input }) => `${preview(input)} is not supported; ${describeRemedy(values)}`,
    })
    .meta({ enum: [...values, null] }),
  description,
});

const describeRemedy = (values: readonly unknown[]) =>
  `leave it out${values.length ? `, or send ${values.map((value) => JSON.stringify(value)).join(" or ")}` : ""}`;

/** A value as JSON, cut if it is long. */
function preview(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

type OptionalShape<F extends Fields> = { [K in keyof F]: z.ZodOptional<z.ZodNullable<F[K]["schema"]>> };

/** The members of an object schema, each optional and nullable. */
export function optional<F extends Fields>(fields: F): OptionalShape<F> {
  const entries = Object.entries(fields).map(([name, { schema, description }]) => [
    name,
    schema.nullish().describe(description),
  ]);
  return Object.fromEntries(entries) as OptionalShape<F>;
}
