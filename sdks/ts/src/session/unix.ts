// The Unix socket carrier: a 4-byte big-endian length, then a frame. It cannot take descriptors (Node has no call for that), so `shared-memory` is
// never offered here.

import { connect as connectSocket, type Socket } from "node:net";

import { errorOf } from "../errors.js";
import { type Carrier, type CarrierEvents, type Connect, FRAME_BYTES_DEFAULT } from "./carrier.js";

/** Connects to the socket at a path. */
export function unix(path: string): Connect {
  return (events) =>
    new Promise((resolve, reject) => {
      const socket = connectSocket(path);
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(new UnixCarrier(socket, events));
      });
    });
}

class UnixCarrier implements Carrier {
  readonly local = true;
  readonly #socket: Socket;
  readonly #events: CarrierEvents;
  readonly #cutter = new Cutter();
  #over = false;

  constructor(socket: Socket, events: CarrierEvents) {
    this.#socket = socket;
    this.#events = events;
    socket.on("data", (chunk: Buffer) => {
      this.#take(chunk);
    });
    socket.on("error", (error) => {
      this.#lose(error);
    });
    socket.on("close", () => {
      this.#lose(new Error("the node closed the connection"));
    });
  }

  get frameBytesMax(): number {
    return this.#cutter.frameBytesMax;
  }

  set frameBytesMax(bytes: number) {
    this.#cutter.frameBytesMax = bytes;
  }

  send(bodies: readonly Buffer[]): void {
    const socket = this.#socket;
    if (this.#over || socket.destroyed) return;
    socket.cork();
    for (const body of bodies) {
      const head = Buffer.allocUnsafe(4);
      head.writeUInt32BE(body.length);
      socket.write(head);
      socket.write(body);
    }
    socket.uncork();
  }

  hold(alive: boolean): void {
    if (alive) this.#socket.ref();
    else this.#socket.unref();
  }

  close(): void {
    if (this.#over) return;
    this.#over = true;
    this.#socket.end();
    // Once the other side is gone too there is nobody to wait for.
    this.#socket.destroySoon();
  }

  #take(chunk: Buffer): void {
    if (this.#over) return;
    try {
      this.#cutter.feed(chunk, (body) => {
        if (!this.#over) this.#events.frame(body);
      });
    } catch (error) {
      this.#lose(error as Error);
      return;
    }
    this.#rest();
  }

  /** The connection may have been given up while a frame was handled. */
  #rest(): void {
    if (!this.#over) this.#events.rest();
  }

  #lose(error: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.#socket.destroy();
    this.#events.lost(error);
  }
}

/** Cuts frames out of a stream of bytes, however they were split on the way. Memory is taken for what has come and not for what was announced. */
export class Cutter {
  frameBytesMax = FRAME_BYTES_DEFAULT;
  #parts: Buffer[] = [];
  #have = 0;

  /** Takes more bytes and gives out each frame that is whole. Throws `FRAME_TOO_LARGE` for a length above the limit. */
  feed(chunk: Buffer, give: (body: Buffer) => void): void {
    if (this.#have > 0) {
      this.#parts.push(chunk);
      this.#have += chunk.length;
      if (this.#have < 4 || this.#have < 4 + this.#announced()) return;
      chunk = Buffer.concat(this.#parts, this.#have);
      this.#parts = [];
      this.#have = 0;
    }
    let at = 0;
    while (chunk.length - at >= 4) {
      const length = this.#check(chunk.readUInt32BE(at));
      if (chunk.length - at - 4 < length) break;
      give(chunk.subarray(at + 4, at + 4 + length));
      at += 4 + length;
    }
    if (at < chunk.length) {
      this.#parts.push(at === 0 ? chunk : chunk.subarray(at));
      this.#have = chunk.length - at;
    }
  }

  /** Bytes that are no whole frame yet. */
  get rest(): Buffer {
    return Buffer.concat(this.#parts, this.#have);
  }

  #announced(): number {
    let first = this.#parts[0];
    if (first.length < 4) {
      first = Buffer.concat(this.#parts, this.#have);
      this.#parts = [first];
    }
    return this.#check(first.readUInt32BE(0));
  }

  #check(length: number): number {
    if (length > this.frameBytesMax) {
      const message = `a frame of ${length} bytes was announced, and ${this.frameBytesMax} were agreed on`;
      throw errorOf("FRAME_TOO_LARGE", message);
    }
    return length;
  }
}
