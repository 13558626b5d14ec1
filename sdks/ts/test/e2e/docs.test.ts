// The programs of the README and of the guide, compiled strictly and run against the real server: what they print is what the page says.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import ts from "typescript";

import { binary } from "../support/runtime.js";

const PACKAGE = fileURLToPath(new URL("../../../", import.meta.url));
const run = promisify(execFile);

const PAGES = ["README.md", "../../docs/guides/getting-started-typescript.md"];

for (const page of PAGES) {
  test(`the program of ${page} prints what the page says`, async () => {
    const text = readFileSync(join(PACKAGE, page), "utf8");
    // Inside of the package, so that its own name leads to it.
    const folder = join(PACKAGE, "build/docs", page.replaceAll(/[^\w]+/g, "-"));
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    const files = new Map<string, string>();
    for (const [, file, code] of text.matchAll(/^```ts file=(\S+)\n([^]*?)^```$/gm)) {
      files.set(file, `${files.get(file) ?? ""}${code}\n`);
    }
    assert.ok(files.has("main.ts"), "the page has no main.ts");
    for (const [file, code] of files) writeFileSync(join(folder, file), code);
    compile([...files.keys()].map((file) => join(folder, file)));
    const expected = [...text.matchAll(/^```text\n([^]*?)^```$/gm)].map(([, output]) => output).join("");
    const { stdout } = await run(process.execPath, [join(folder, "main.js")], {
      env: { ...process.env, THORNBACK_BINARY: binary(), THORNBACK_ADDRESS: "" },
    });
    assert.equal(stdout, expected);
  });
}

function compile(files: string[]): void {
  const program = ts.createProgram(files, {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    lib: ["lib.es2023.d.ts", "lib.esnext.disposable.d.ts"],
    types: ["node"],
    typeRoots: [join(PACKAGE, "node_modules/@types")],
    strict: true,
    skipLibCheck: true,
  });
  const { diagnostics } = program.emit();
  const problems = [...ts.getPreEmitDiagnostics(program), ...diagnostics];
  const host = { getCanonicalFileName: (name: string) => name, getCurrentDirectory: () => PACKAGE, getNewLine: () => "\n" };
  assert.equal(ts.formatDiagnostics(problems, host), "");
}
