/** @file Expected failures as values. */

/** The error that a promise rejects with. @throws if it resolves. */
export const catchError = (work: Promise<unknown>): Promise<Error> =>
  work.then(
    () => {
      throw new Error("expected a rejection, but the promise resolved");
    },
    (error: Error) => error,
  );

/** The message of that error. */
export const catchMessage = async (work: Promise<unknown>): Promise<string> =>
  (await catchError(work)).message;
