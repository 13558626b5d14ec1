// What a session needs of whatever carries its frames. A carrier knows no message: frames are bytes to it.

/** Carries the frames of one connection. */
export interface Carrier {
  /** Whether the node is on this machine, so that a refused connection means that it is gone. */
  readonly local: boolean;
  /** Bytes that a frame of the peer may have; set once `Welcome` told. */
  frameBytesMax: number;
  /** Sends the bodies of frames, in order, together. Never waits: the session's credit bounds what is sent. */
  send(bodies: readonly Buffer[]): void;
  /** Keeps the process alive, or no longer. */
  hold(alive: boolean): void;
  /** Ends the connection once what was sent is on its way. Nothing is told afterwards. */
  close(): void;
}

/** What a carrier tells. */
export interface CarrierEvents {
  /** The body of a frame, in memory that nobody writes to again. */
  frame(body: Buffer): void;
  /** Everything that had come was told. */
  rest(): void;
  /** The connection is gone; told once, and last. */
  lost(error: Error): void;
}

/** Opens a connection. Rejects with whatever kept it from being opened. */
export type Connect = (events: CarrierEvents) => Promise<Carrier>;

/** Bytes of a frame before `Welcome` says otherwise. */
export const FRAME_BYTES_DEFAULT = 4 * 1024 * 1024;
