// The gRPC carrier: `thornback.v1.Session/Connect`, one message for each frame. It is loaded only where an address asks for it.

import { Client, type ClientDuplexStream, credentials, Metadata, status } from "@grpc/grpc-js";

import { errorOf } from "../errors.js";
import { type Carrier, type CarrierEvents, type Connect, FRAME_BYTES_DEFAULT } from "./carrier.js";

const METHOD = "/thornback.v1.Session/Connect";

/** Connects to the node at `HOST:PORT`. */
export function grpc(address: string, token: string): Connect {
  return async (events) => {
    const client = new Client(address, credentials.createInsecure(), {
      "grpc.max_receive_message_length": FRAME_BYTES_DEFAULT,
      "grpc.max_send_message_length": FRAME_BYTES_DEFAULT,
      // A session is resumed by itself; the channel need not try.
      "grpc.enable_retries": 0,
    });
    try {
      await new Promise<void>((resolve, reject) => {
        client.waitForReady(Date.now() + CONNECT_TIMEOUT_MS, (error) => {
          if (error) reject(new Error(`no node answers at ${address}: ${error.message}`));
          else resolve();
        });
      });
    } catch (error) {
      client.close();
      throw error;
    }
    const metadata = new Metadata();
    if (token !== "") metadata.set("authorization", `Bearer ${token}`);
    const identity = (bytes: Buffer): Buffer => bytes;
    return new GrpcCarrier(client, client.makeBidiStreamRequest(METHOD, identity, identity, metadata), events);
  };
}

const CONNECT_TIMEOUT_MS = 10_000;

class GrpcCarrier implements Carrier {
  readonly local = false;
  frameBytesMax = FRAME_BYTES_DEFAULT;
  readonly #client: Client;
  readonly #stream: ClientDuplexStream<Buffer, Buffer>;
  readonly #events: CarrierEvents;
  #over = false;

  constructor(client: Client, stream: ClientDuplexStream<Buffer, Buffer>, events: CarrierEvents) {
    this.#client = client;
    this.#stream = stream;
    this.#events = events;
    stream.on("data", (body: Buffer) => {
      if (this.#over) return;
      if (body.length > this.frameBytesMax) {
        this.#lose(errorOf("FRAME_TOO_LARGE", `a frame of ${body.length} bytes came, and ${this.frameBytesMax} were agreed on`));
        return;
      }
      events.frame(body);
      events.rest();
    });
    stream.on("error", (error: Error & { code?: status }) => {
      const refused = error.code === status.UNAUTHENTICATED || error.code === status.PERMISSION_DENIED;
      this.#lose(refused ? errorOf("UNAUTHENTICATED", `the node refused the token: ${error.message}`, { cause: error }) : error);
    });
    stream.on("end", () => {
      this.#lose(new Error("the node ended the stream"));
    });
  }

  send(bodies: readonly Buffer[]): void {
    if (this.#over) return;
    for (const body of bodies) this.#stream.write(body);
  }

  /** The library keeps the process alive while a stream is open, and cannot be told otherwise. */
  hold(): void {}

  close(): void {
    if (this.#over) return;
    this.#over = true;
    this.#stream.end();
    this.#client.close();
  }

  #lose(error: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.#stream.cancel();
    this.#client.close();
    this.#events.lost(error);
  }
}
