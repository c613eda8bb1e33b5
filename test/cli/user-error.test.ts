import { expect, test } from "bun:test";
import { UserError, asUserError } from "../../src/cli/user-error.ts";
import { catchError } from "../failure.ts";

const broken = new Error("no such file");
const fail = () => {
  throw broken;
};

test("an error of sync or async work becomes a UserError with its message and cause", async () => {
  for (const work of [async () => asUserError(fail), async () => asUserError(async () => fail())]) {
    const error = await catchError(work());
    expect(error).toBeInstanceOf(UserError);
    expect([error.message, error.cause]).toEqual(["no such file", broken]);
  }
});

test("the message can be replaced, but a UserError passes unchanged", async () => {
  const describe = ({ message }: Error) => `config: ${message}`;
  expect((await catchError((async () => asUserError(fail, { describe }))())).message).toBe(
    "config: no such file",
  );
  const own = new UserError("own");
  const work = async () => {
    throw own;
  };
  expect(await catchError(asUserError(work, { describe }))).toBe(own);
});

test("an aborted signal's reason is thrown instead", async () => {
  const signal = AbortSignal.abort(new Error("interrupted"));
  expect((await catchError(asUserError(async () => fail(), { signal }))).message).toBe("interrupted");
});

test("the result is returned", async () => {
  expect(asUserError(() => 1)).toBe(1);
  expect(await asUserError(async () => 2)).toBe(2);
});
