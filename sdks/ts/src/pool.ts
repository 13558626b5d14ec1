// Pools: workers that serve the same functions, and how to start them.

import { basename, extname } from "node:path";
import { fileURLToPath } from "node:url";

import { create } from "@bufbuild/protobuf";

import type { Contract } from "./contract.js";
import { LANGUAGE } from "./errors.js";
import { type DeclarePool, DeclarePoolSchema } from "./gen/thornback/v1/control_pb.js";

/** Workers that serve the same functions, and the command that starts one. */
export interface Pool {
  /** Its name. */
  readonly name: string;
  /** Program and arguments that start one worker. Without it, workers are started by somebody else and dial in. */
  readonly command?: readonly string[];
  /** The language of its workers, for people. By default `"typescript"`. */
  readonly language?: string;
  /** Variables in the environment of its workers, besides the few that every program needs. */
  readonly env?: Readonly<Record<string, string>>;
  /** The directory that its workers start in. By default that of this program. */
  readonly workingDir?: string;
  /** Workers to start ahead of time. By default none. */
  readonly prestart?: number;
  /** Names of functions and classes that it serves, so that they can be called before a worker runs. */
  readonly functions?: readonly string[];
  /** What its workers have to serve, as generated code lists it: one that does not, or with other signatures, is turned away when it says hello. */
  readonly interface?: readonly Contract[];
  /** The command starts a template that forks workers on request. By default it does not. */
  readonly template?: boolean;
}

/** A pool whose workers serve the exports of a module; see the program `thornback-worker`. Its name is that of the file, if no other is given. */
export function modulePool(module: URL | string, options: Partial<Pool> = {}): Pool {
  const path = module instanceof URL || module.startsWith("file:") ? fileURLToPath(module) : module;
  const program = fileURLToPath(new URL("./bin/worker.js", import.meta.url));
  return {
    name: basename(path, extname(path)),
    command: [process.execPath, ...inherited(), program, path],
    ...options,
  };
}

/** Options of this process that its workers need to load the same modules: loaders, conditions, source maps; not those of a debugger. */
function inherited(): string[] {
  return process.execArgv.filter((arg) =>
    /^--(?:import|loader|experimental|conditions|enable-source-maps|no-warnings|max-old)/.test(arg),
  );
}

export function toWire(pool: Pool): DeclarePool {
  return create(DeclarePoolSchema, {
    name: pool.name,
    language: pool.language ?? LANGUAGE,
    command: [...(pool.command ?? [])],
    env: { ...pool.env },
    workingDir: pool.workingDir ?? process.cwd(),
    template: pool.template ?? false,
    prestart: pool.prestart ?? 0,
    functions: [...(pool.functions ?? [])],
    interface: (pool.interface ?? []).map(({ name, params, actor, signature }) => {
      return { name, minArgs: params.length, maxArgs: params.length, actor, signature };
    }),
  });
}
