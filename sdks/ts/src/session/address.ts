// Where a node is: `unix:PATH` or `HOST:PORT`, and the token for the latter.

import { readFileSync } from "node:fs";

import { errorOf } from "../errors.js";
import type { Connect } from "./carrier.js";
import { unix } from "./unix.js";

/** How to connect to an address. */
export async function connectTo(address: string, token: string): Promise<Connect> {
  if (address.startsWith("unix:")) return unix(address.slice("unix:".length));
  if (!/^(\[[^\]]+\]|[^:/]+):\d{1,5}$/.test(address)) {
    throw errorOf("INVALID_ARGUMENT", `${JSON.stringify(address)} is no address; give unix:PATH or HOST:PORT`);
  }
  const { grpc } = await import("./grpc.js");
  return grpc(address, token);
}

/** Reads the token from a file, or from the one that THORNBACK_TOKEN_FILE names. None at all is no token. */
export function readToken(file?: string): string {
  const path = file ?? process.env["THORNBACK_TOKEN_FILE"];
  if (path === undefined || path === "") return "";
  try {
    return readFileSync(path, "utf8").trim();
  } catch (error) {
    throw errorOf("INVALID_ARGUMENT", `the token file ${path} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}
