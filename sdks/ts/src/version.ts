// The version of this package, which a test holds to `package.json`.

/** The version of this package. */
export const VERSION = "0.1.0";
