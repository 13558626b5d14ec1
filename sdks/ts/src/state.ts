// What goes on in a node, for people and tools.

import type { Status as WireStatus } from "./gen/thornback/v1/control_pb.js";
import { UNITS } from "./options.js";

/** A node's state at one moment. */
export interface Status {
  /** Its version. */
  readonly serverVersion: string;
  /** How long it has run, in milliseconds. */
  readonly uptimeMs: number;
  /** Resources that it has, by name. */
  readonly total: Readonly<Record<string, number>>;
  /** Resources that nothing holds. */
  readonly available: Readonly<Record<string, number>>;
  /** Bytes of the object store in use. */
  readonly storeUsedBytes: number;
  /** Bytes that the object store can hold. */
  readonly storeCapacityBytes: number;
  /** Bytes of objects that were written to disk to make room. */
  readonly spilledBytes: number;
  /** Open sessions. */
  readonly sessions: number;
  /** Tasks that wait. */
  readonly tasksQueued: number;
  /** Tasks that run. */
  readonly tasksRunning: number;
  /** Tasks that are over. */
  readonly tasksFinished: number;
  /** Live actors. */
  readonly actors: number;
  /** Live objects. */
  readonly objects: number;
  /** Nodes of the cluster. */
  readonly nodes: number;
  /** Its worker processes. */
  readonly workers: readonly WorkerStatus[];
}

/** One worker process. */
export interface WorkerStatus {
  /** Its process id. */
  readonly pid: number;
  /** The pool that it belongs to. */
  readonly pool: string;
  /** `"starting"`, `"idle"`, `"busy"` or `"actor"`. */
  readonly state: string;
  /** Memory that it has, in bytes. */
  readonly rssBytes: number;
}

/** What can be listed. */
export type StateKind = "tasks" | "actors" | "objects" | "workers" | "pools" | "sessions";

export function fromWire(status: WireStatus): Status {
  return {
    serverVersion: status.serverVersion,
    uptimeMs: Number(status.uptimeMs),
    total: amounts(status.total?.amounts),
    available: amounts(status.available?.amounts),
    storeUsedBytes: Number(status.storeUsedBytes),
    storeCapacityBytes: Number(status.storeCapacityBytes),
    spilledBytes: Number(status.spilledBytes),
    sessions: Number(status.sessions),
    tasksQueued: Number(status.tasksQueued),
    tasksRunning: Number(status.tasksRunning),
    tasksFinished: Number(status.tasksFinished),
    actors: Number(status.actors),
    objects: Number(status.objects),
    nodes: Number(status.nodes),
    workers: status.workerList.map(({ pid, pool, state, rssBytes }) => ({
      pid: Number(pid),
      pool,
      state,
      rssBytes: Number(rssBytes),
    })),
  };
}

function amounts(units: Readonly<Record<string, bigint>> = {}): Record<string, number> {
  return Object.fromEntries(Object.entries(units).map(([name, amount]) => [name, Number(amount) / UNITS]));
}
