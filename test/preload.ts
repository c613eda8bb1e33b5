/** @file Settings for all tests. */
import { beforeEach, expect } from "bun:test";
import fc from "fast-check";

// With maxLength 40 lengths go up to 40, not up to fast-check's default of 10.
fc.configureGlobal({ defaultSizeToMaxWhenMaxSpecified: true });

// A test without an assertion cannot fail.
beforeEach(() => expect.hasAssertions());
