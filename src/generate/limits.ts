/** @file What the worker can do at most, for those that must know it without loading it. */

/** Most candidates that are told of at each place. */
export const maxLogprobs = 10;
