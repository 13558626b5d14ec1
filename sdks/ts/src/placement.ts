// Placement groups: resources that are reserved together, for tasks and actors to run in.

import { create } from "@bufbuild/protobuf";

import { CreatePlacementGroupSchema } from "./gen/thornback/v1/control_pb.js";
import type { Ref } from "./object.js";
import { unitsOf } from "./options.js";
import type { Runtime } from "./runtime.js";
import { type Id, toBytes, toHex } from "./session/ids.js";

/** How bundles lie on nodes: together if they fit, apart if they can, or strictly so. */
export type Strategy = "PACK" | "SPREAD" | "STRICT_PACK" | "STRICT_SPREAD";

/** Resources reserved together; see `Client.createPlacementGroup`. */
export class PlacementGroup implements AsyncDisposable {
  readonly #runtime: Runtime;
  readonly #ready: Ref<null>;
  /** @internal */
  readonly rawId: Id;

  /** @internal */
  constructor(runtime: Runtime, id: Id, ready: Ref<null>) {
    this.#runtime = runtime;
    this.rawId = id;
    this.#ready = ready;
  }

  /** The group's id, in hexadecimal, for logs. */
  get id(): string {
    return toHex(this.rawId);
  }

  /** An object that is ready once all bundles are reserved. */
  get ready(): Ref<null> {
    return this.#ready;
  }

  /** Ends its tasks and actors and gives its resources back. Doing it again does nothing. */
  async remove(): Promise<void> {
    await this.#runtime.request({
      case: "removePlacementGroup",
      value: { $typeName: "thornback.v1.RemovePlacementGroup", group: toBytes(this.rawId) },
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.remove();
  }
}

/** Asks for a group. */
export async function createPlacementGroup(
  runtime: Runtime,
  bundles: readonly Readonly<Record<string, number>>[],
  strategy: Strategy,
  name: string,
): Promise<PlacementGroup> {
  const group = runtime.nextId();
  const value = create(CreatePlacementGroupSchema, {
    group: toBytes(group),
    bundles: bundles.map((bundle) => ({
      amounts: Object.fromEntries(Object.entries(bundle).map(([resource, amount]) => [resource, unitsOf(resource, amount)])),
    })),
    strategy,
    name,
  });
  const ready = runtime.expectReady(group);
  await runtime.request({ case: "createPlacementGroup", value });
  return new PlacementGroup(runtime, group, ready);
}
