/** @file The user's mistakes: shown as one line, without a stack. */

/** Something the user gave does not fit; the message says what it is, and what was expected. */
export class UserError extends Error {}

/**
 * Runs work, sync or async, that fails only because of what the user gave.
 * @param describe makes the message of an error that is not a UserError already.
 * @throws the signal's reason, if it is aborted, else a UserError.
 */
export function asUserError<T>(
  work: () => T,
  {
    signal,
    describe = ({ message }) => message,
  }: { readonly signal?: AbortSignal | undefined; readonly describe?: (error: Error) => string } = {},
): T {
  const fail = (error: unknown): never => {
    signal?.throwIfAborted();
    throw error instanceof UserError ? error : new UserError(describe(error as Error), { cause: error });
  };
  try {
    const result = work();
    return result instanceof Promise ? (result.catch(fail) as T) : result;
  } catch (error) {
    return fail(error);
  }
}
