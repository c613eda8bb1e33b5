/** @file What work fails of. */

/** The error that a promise is rejected with. @throws if it is not. */
export const failureOf = (work: Promise<unknown>): Promise<Error> =>
  work.then(
    () => {
      throw new Error("it did not fail");
    },
    (error: Error) => error,
  );

/** Its message. */
export const messageOf = async (work: Promise<unknown>): Promise<string> => (await failureOf(work)).message;
