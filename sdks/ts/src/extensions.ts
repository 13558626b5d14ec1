// The protocol's extension types of MessagePack (`protocol/spec/value.md`) and the limits of values, for whoever writes and whoever reads them.

/** A value nested deeper than this is refused. */
export const DEPTH_MAX = 512;
/** Bytes of a tensor's elements from which they are kept beside the MessagePack and not in it. */
export const OUT_OF_BAND_BYTES = 1024;

/** Binary up to this many bytes is copied out of what it was read from, so that it does not keep all of that. */
export const COPY_BYTES_MAX = 64 * 1024;

export const EXT_REF = 1;
export const EXT_ACTOR = 2;
export const EXT_TENSOR = 3;
export const EXT_UUID = 5;
export const EXT_BIG = 6;
export const EXT_STREAM = 7;
export const EXT_TIMESTAMP = -1;
export const EXT_USERS = 64;

export const INT64_MIN = -(2n ** 63n);
export const UINT64_MAX = 2n ** 64n - 1n;
