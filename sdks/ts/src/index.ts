// Thornback for TypeScript: tasks, actors and objects that any language can use.

// For everybody.
export { ActorClass, ActorHandle, type KillOptions, type Methods } from "./actor.js";
export { Keywords } from "./arguments.js";
export { type ActorInfo, Client, type ConnectOptions, type ImportOptions, type WorkerLines } from "./client.js";
export * from "./errors.js";
export type { LocalOptions } from "./local.js";
export { type CancelOptions, type GetOptions, Ref, type WaitOptions } from "./object.js";
export type { ActorOptions, CallOptions, ResourceOptions, TaskOptions } from "./options.js";
export { PlacementGroup, type Strategy } from "./placement.js";
export { modulePool, type Pool } from "./pool.js";
export type { Returns } from "./runtime.js";
export type { StateKind, Status, WorkerStatus } from "./state.js";
export { RefStream } from "./stream.js";
export type { AnyFunction, Args, Remote, Result, ResultOf, Task } from "./task.js";
export { Tensor, type TypedArray } from "./tensor.js";
export { Extension, Float, Timestamp, Uuid } from "./types.js";
export { VERSION } from "./version.js";
// For code that workers run.
export { currentTask, inTask, type ServeOptions, serve, TaskContext } from "./worker.js";
