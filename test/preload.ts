/** What holds for all tests: in a property, a length "up to 40" is up to 40, and not up to 10 as fast-check has it. */
import fc from "fast-check";

fc.configureGlobal({ defaultSizeToMaxWhenMaxSpecified: true });
