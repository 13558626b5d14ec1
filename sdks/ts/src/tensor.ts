// Tensors: elements of one type in a shape, where they lie. No arithmetic; that is for libraries, which can be given `data`.

import { errorOf } from "./errors.js";

/** The arrays of JavaScript that hold numbers of one type. */
export type TypedArray =
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array
  | Float32Array
  | Float64Array;

type TypedArrayClass = {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): TypedArray;
};

const CLASSES: ReadonlyMap<string, TypedArrayClass> = new Map<string, TypedArrayClass>([
  ["|i1", Int8Array],
  ["|u1", Uint8Array],
  ["|b1", Uint8Array],
  ["<i2", Int16Array],
  ["<u2", Uint16Array],
  ["<i4", Int32Array],
  ["<u4", Uint32Array],
  ["<i8", BigInt64Array],
  ["<u8", BigUint64Array],
  ["<f4", Float32Array],
  ["<f8", Float64Array],
]);

const LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** Dimensions that a tensor may have; more is a mistake of the sender. */
const DIMENSIONS_MAX = 64;

/** Elements of one type in a shape. `data` is read in place where it can be, and is not to be changed. */
export class Tensor {
  /** NumPy's array-protocol text: byte order, kind and size, as `"<f8"`; or `"bf16"` and the like. */
  readonly dtype: string;
  /** Dimensions. */
  readonly shape: readonly number[];
  /** Bytes from one element to the next in each dimension; null where elements lie in C order. */
  readonly strides: readonly number[] | null;
  /** The bytes of the elements. */
  readonly data: Uint8Array;

  /** Throws `UnsupportedFormatError` if an element would lie outside of `data`. */
  constructor(dtype: string, shape: readonly number[], data: Uint8Array, strides: readonly number[] | null = null) {
    this.dtype = dtype;
    this.shape = shape;
    this.data = data;
    this.strides = strides;
    check(this);
  }

  /** The elements of an array in a shape, by default its own one dimension. Nothing is copied. */
  static from(array: TypedArray, shape: readonly number[] = [array.length]): Tensor {
    const data = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    const tensor = new Tensor(dtypeOf(array), shape, data);
    if (tensor.length !== array.length) {
      throw errorOf("INVALID_ARGUMENT", `${array.length} elements do not fill the shape (${shape.join(", ")})`);
    }
    return tensor;
  }

  /** How many elements there are. */
  get length(): number {
    return this.shape.reduce((product, dimension) => product * dimension, 1);
  }

  /**
   * The elements in C order as one of JavaScript's arrays, without a copy where they lie so already.
   *
   * Throws `UnsupportedFormatError` for types that JavaScript has no array for.
   */
  toTypedArray(): TypedArray {
    const kind = LITTLE_ENDIAN ? CLASSES.get(this.dtype) : undefined;
    if (!kind) throw errorOf("UNSUPPORTED_FORMAT", `JavaScript has no array for elements of type ${this.dtype}; read \`data\``);
    const size = kind.BYTES_PER_ELEMENT;
    const { length } = this;
    let bytes = this.data;
    if (this.strides !== null) bytes = gather(this, this.strides, size);
    else if (bytes.byteOffset % size !== 0) bytes = Uint8Array.from(bytes.subarray(0, length * size));
    return new kind(bytes.buffer, bytes.byteOffset, length);
  }
}

/** The dtype of an array's elements. */
export function dtypeOf(array: TypedArray): string {
  const kind = array instanceof Uint8ClampedArray ? Uint8Array : array.constructor;
  for (const [dtype, constructor] of CLASSES) {
    if (kind === constructor && (dtype[0] === "|" || LITTLE_ENDIAN)) return dtype;
  }
  const name = Object.prototype.toString.call(array).slice(8, -1);
  for (const [dtype, constructor] of CLASSES) {
    if ((constructor as unknown as { name: string }).name === name && (dtype[0] === "|" || LITTLE_ENDIAN)) return dtype;
  }
  throw errorOf("UNSERIALIZABLE", `elements of a ${name} have no dtype`);
}

/** `DTYPE;(SHAPE);(STRIDES)`, as `Value.schema` has it. */
export function schemaOf(tensor: Tensor): string {
  const strides = tensor.strides === null ? "" : `;${tuple(tensor.strides)}`;
  return `${tensor.dtype};${tuple(tensor.shape)}${strides}`;
}

/** The tensor of a `Value.schema` and its elements. */
export function fromSchema(schema: string, data: Uint8Array): Tensor {
  const parts = schema.split(";");
  if (parts.length < 2 || parts.length > 3) {
    throw errorOf("UNSUPPORTED_FORMAT", `${JSON.stringify(schema)} is no dtype with a shape`);
  }
  const [dtype, shape] = parts;
  return new Tensor(dtype, untuple(shape), data, parts.length === 3 ? untuple(parts[2]) : null);
}

function tuple(numbers: readonly number[]): string {
  return numbers.length === 1 ? `(${numbers[0]},)` : `(${numbers.join(", ")})`;
}

function untuple(text: string): number[] {
  const inside: string | undefined = /^\((.*)\)$/.exec(text)?.[1];
  if (inside === "") return [];
  const parts = inside?.replace(/,$/, "").split(", ") ?? [];
  if (parts.length === 0 || !parts.every((part) => /^\d{1,16}$/.test(part)) || (parts.length > 1 && inside!.endsWith(","))) {
    throw errorOf("UNSUPPORTED_FORMAT", `${JSON.stringify(text)} is no tuple of sizes`);
  }
  return parts.map(Number);
}

/** Bytes of one element, or undefined for a dtype that is known to nobody here. */
function itemBytes(dtype: string): number | undefined {
  const sized: string | undefined = /^[<>|][a-zA-Z](\d{1,4})$/.exec(dtype)?.[1];
  if (sized !== undefined) return dtype[1] === "U" ? Number(sized) * 4 : Number(sized);
  const bits: string | undefined = /^(?:bf|f|float|e\dm\d|float\d_e\dm\d\w*)?(\d{1,3})/.exec(dtype)?.[1];
  if (dtype === "bf16") return 2;
  if (bits === undefined) return /^float8/.test(dtype) ? 1 : undefined;
  return Math.ceil(Number(bits) / 8);
}

function check(tensor: Tensor): void {
  const { dtype, shape, strides, data } = tensor;
  const sizes = strides === null ? shape : [...shape, ...strides];
  if (shape.length > DIMENSIONS_MAX || (strides !== null && strides.length !== shape.length)) {
    throw errorOf("UNSUPPORTED_FORMAT", `a tensor of ${shape.length} dimensions with ${strides?.length ?? 0} strides`);
  }
  if (!sizes.every((size) => Number.isSafeInteger(size) && size >= 0)) {
    throw errorOf("UNSUPPORTED_FORMAT", "dimensions and strides of a tensor are integers from 0");
  }
  const item = itemBytes(dtype);
  if (item === undefined || item === 0) {
    throw errorOf("UNSUPPORTED_FORMAT", `the elements' type ${JSON.stringify(dtype)} is not known`);
  }
  if (shape.includes(0)) return;
  // Nothing here is exact above 2⁵³, and nothing so large lies inside any buffer.
  const end =
    strides === null
      ? shape.reduce((product, dimension) => product * dimension, item)
      : shape.reduce((sum, dimension, i) => sum + (dimension - 1) * strides[i], item);
  if (end > data.length) {
    throw errorOf("UNSUPPORTED_FORMAT", `a tensor's elements end at byte ${end}, and there are ${data.length}`);
  }
}

/** Copies strided elements into C order. */
function gather(tensor: Tensor, strides: readonly number[], size: number): Uint8Array {
  const { shape, data, length } = tensor;
  const out = new Uint8Array(length * size);
  const position = shape.map(() => 0);
  let from = 0;
  for (let to = 0; to < out.length; to += size) {
    for (let i = 0; i < size; i++) out[to + i] = data[from + i]!;
    for (let d = shape.length - 1; d >= 0; d--) {
      from += strides[d];
      position[d]++;
      if (position[d] < shape[d]) break;
      from -= strides[d] * shape[d];
      position[d] = 0;
    }
  }
  return out;
}
