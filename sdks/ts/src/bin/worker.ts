#!/usr/bin/env node
// `thornback-worker MODULE [--prefix PREFIX]`: serves what a module exports.

import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

import { serveModule } from "../worker.js";

const USAGE = "usage: thornback-worker MODULE [--prefix PREFIX]\nServes the functions and classes that MODULE exports.\n";

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: { prefix: { type: "string", default: "" }, help: { type: "boolean", short: "h" } },
    allowPositionals: true,
  });
  const module = positionals.at(0);
  if (values.help || module === undefined || positionals.length > 1) {
    (values.help ? process.stdout : process.stderr).write(USAGE);
    return values.help ? 0 : 2;
  }
  // Ctrl-C in a terminal reaches the whole group of processes; when a worker ends is for its node to say.
  process.on("SIGINT", () => undefined);
  const url = module.startsWith("file:") ? module : pathToFileURL(resolve(module)).href;
  await serveModule(async () => (await import(url)) as Record<string, unknown>, { prefix: values.prefix });
  return 0;
}

main().then(
  (status) => process.exit(status),
  (error: unknown) => {
    process.stderr.write(`thornback worker: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exit(1);
  },
);
