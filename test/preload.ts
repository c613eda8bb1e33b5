/** @file Settings for all tests: with maxLength 40 fast-check generates lengths up to 40, not up to its default of 10. */
import fc from "fast-check";

fc.configureGlobal({ defaultSizeToMaxWhenMaxSpecified: true });
