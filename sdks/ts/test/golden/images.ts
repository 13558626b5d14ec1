// Made by `thornback gen` from the package demo:images@1.0.0. Do not edit: change the interface and make it again.

import type { Client, Task, TaskOptions } from "thornback";
import * as _i from "thornback/interface";

/** A picture and how large it is. */
export interface Image {
  readonly width: number;
  readonly height: number;
  /** Three bytes a pixel, row by row. */
  readonly pixels: Uint8Array;
}

const imageCodec = _i.record<Image>(
  "image",
  ["width", "width", _i.u32],
  ["height", "height", _i.u32],
  ["pixels", "pixels", _i.bytes],
);

const imagesResize: _i.Contract = {
  name: "images.resize",
  label: "resize",
  signature: "func(image: list<u8>, width: u32) -> record{width: u32, height: u32, pixels: list<u8>}",
  actor: false,
  params: [["image", _i.bytes], ["width", _i.u32]],
  result: imageCodec,
  stream: false,
};

/** What workers serve that serve `images`, for `Pool.interface`. */
export const imagesInterface: readonly _i.Contract[] = [imagesResize];

/** Pictures, made smaller and described. */
export class Images {
  /** Resizes a picture, keeping what it shows. */
  readonly resize: Task<(image: Uint8Array, width: number) => Image>;

  /** The options are those of every call. */
  constructor(client: Client, options: TaskOptions = {}) {
    this.resize = _i.contractTask(client, imagesResize, options);
  }
}

/** What serves `images`. */
export interface ImagesWorker {
  /** Resizes a picture, keeping what it shows. */
  resize(image: Uint8Array, width: number): _i.Awaitable<Image>;
}

/** For a worker's module to export, or for `serve`. Throws `InvalidArgumentError` that says everything that is missing. */
export function serveImages(implementation: ImagesWorker): _i.Implementation {
  return _i.implement(implementation, [[imagesResize, "resize"]]);
}
