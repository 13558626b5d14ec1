// A carrier inside of one process: frames go from hand to hand. For tests, and for the runtime that tests of users' code run in.

import type { Carrier, CarrierEvents, Connect } from "./carrier.js";
import { FRAME_BYTES_DEFAULT } from "./carrier.js";

/** The node's end of one connection. */
export interface Accepted {
  /** Sends a frame's body to the client. */
  send(body: Buffer): void;
  /** Breaks the connection, as a network does. */
  cut(error?: Error): void;
}

/** What the node's end is told. */
export interface AcceptedEvents {
  frame(body: Buffer): void;
  closed(): void;
}

/** Connects to whoever accepts: `accept` is called for each connection and gives what it is told. */
export function memory(accept: (accepted: Accepted) => AcceptedEvents): Connect {
  return (events) => Promise.resolve(new MemoryCarrier(accept, events));
}

class MemoryCarrier implements Carrier {
  readonly local = true;
  frameBytesMax = FRAME_BYTES_DEFAULT;
  readonly #peer: AcceptedEvents;
  #over = false;
  #alive: NodeJS.Timeout | undefined;

  constructor(accept: (accepted: Accepted) => AcceptedEvents, events: CarrierEvents) {
    // Nothing arrives in the call that sent it, as on any other carrier.
    this.#peer = accept({
      send: (body) => {
        setImmediate(() => {
          if (this.#over) return;
          events.frame(body);
          if (!this.#isOver()) events.rest();
        });
      },
      cut: (error = new Error("the connection was cut")) => {
        setImmediate(() => {
          if (this.#over) return;
          this.#over = true;
          this.hold(false);
          events.lost(error);
        });
      },
    });
  }

  send(bodies: readonly Buffer[]): void {
    setImmediate(() => {
      for (const body of bodies) this.#peer.frame(body);
    });
  }

  /** Nothing that the system knows of is under way here, so a timer stands for it. */
  hold(alive: boolean): void {
    clearInterval(this.#alive);
    if (alive && !this.#over) this.#alive = setInterval(() => undefined, 0x7fff_ffff);
  }

  close(): void {
    if (this.#over) return;
    this.#over = true;
    this.hold(false);
    setImmediate(() => {
      this.#peer.closed();
    });
  }

  #isOver(): boolean {
    return this.#over;
  }
}
