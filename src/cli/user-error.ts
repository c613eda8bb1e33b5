/** @file The user's mistakes: shown as one line, without a stack. */

/** Something the user gave does not fit; the message says what, and what was expected. */
export class UserError extends Error {}
