// How many arguments a function takes, read from its source: the language tells of the required ones alone.

import { errorOf } from "./errors.js";
import { Keywords } from "./arguments.js";

/** Least and most positional arguments; -1 for any number. */
export interface Arity {
  readonly min: number;
  readonly max: number;
}

/** How many arguments a function, or a class's constructor, takes. */
// Any function will do: it is looked at, not called.
// eslint-disable-next-line @typescript-eslint/no-unsafe-function-type
export function arityOf(target: Function): Arity {
  const source = Function.prototype.toString.call(target);
  if (/\{\s*\[native code\]\s*\}$/.test(source)) return { min: target.length, max: -1 };
  const parameters = isClass(target) ? constructorParameters(source) : parametersOf(source);
  // A class without a constructor of its own takes what its base takes.
  if (parameters === undefined) {
    const base: unknown = Object.getPrototypeOf(target);
    return isClass(target) && typeof base === "function" && base !== Function.prototype
      ? arityOf(base)
      : { min: 0, max: isClass(target) ? 0 : -1 };
  }
  const names = splitParameters(parameters);
  if (names === undefined) return { min: target.length, max: -1 };
  const open = names.some((name) => name.startsWith("...")) || /\barguments\b/.test(source);
  return { min: target.length, max: open ? -1 : Math.max(names.length, target.length) };
}

/** Whether a function is a class, which cannot be called but made. */
export function isClass(target: unknown): boolean {
  return typeof target === "function" && /^class\b/.test(Function.prototype.toString.call(target));
}

/** Whether a function yields. */
export function isGenerator(target: unknown): boolean {
  return typeof target === "function" && /^(Async)?GeneratorFunction$/.test(Object.prototype.toString.call(target).slice(8, -1));
}

/** Refuses a call with a number of arguments that the function does not take. */
export function checkArity(functionName: string, { min, max }: Arity, args: readonly unknown[]): void {
  // Names become one last argument.
  const given = args.length;
  const named = args.at(-1) instanceof Keywords;
  if ((given >= min || named) && (max < 0 || given <= max)) return;
  const wanted = max < 0 ? `at least ${min}` : min === max ? String(min) : `${min} to ${max}`;
  throw errorOf("WRONG_ARITY", `${functionName} takes ${wanted} argument${wanted === "1" ? "" : "s"}, and ${given} were given`);
}

/** What stands between the parentheses of a function's parameters, or undefined where that cannot be told. */
function parametersOf(source: string): string | undefined {
  const arrow = /^(?:async\s+)?([\p{L}_$][\p{L}\p{N}_$]*)\s*=>/u.exec(source);
  if (arrow) return arrow[1];
  const open = source.indexOf("(");
  return open < 0 ? undefined : between(source, open);
}

function constructorParameters(source: string): string | undefined {
  const found = /(?:^|[;{}\s])constructor\s*\(/.exec(source);
  return found ? between(source, found.index + found[0].length - 1) : undefined;
}

/** What stands between the bracket at `open` and its partner. */
function between(source: string, open: number): string | undefined {
  const end = scan(source, open, () => undefined);
  return end === undefined ? undefined : source.slice(open + 1, end);
}

/** The parameters, cut at the commas between them; undefined where the source cannot be followed. */
function splitParameters(text: string): string[] | undefined {
  const wrapped = `(${text})`;
  const commas: number[] = [];
  if (scan(wrapped, 0, (at) => commas.push(at)) !== wrapped.length - 1) return undefined;
  const parts: string[] = [];
  let from = 1;
  for (const at of [...commas, wrapped.length - 1]) {
    const part = withoutComments(wrapped.slice(from, at)).trim();
    if (part !== "") parts.push(part);
    from = at + 1;
  }
  return parts;
}

function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[^]*?\*\//g, " ").replaceAll(/\/\/[^\n]*/g, " ");
}

/** Goes from the bracket at `open` to its partner, past strings and comments, and tells of the commas that are inside no other bracket. */
function scan(source: string, open: number, comma: (at: number) => void): number | undefined {
  let depth = 0;
  for (let at = open; at < source.length; at++) {
    const char = source[at];
    if ("([{".includes(char)) depth++;
    else if (")]}".includes(char)) {
      if (--depth === 0) return at;
    } else if (char === "," && depth === 1) comma(at);
    else if (char === "'" || char === '"' || char === "`") {
      // What is inside a template's braces is passed over like the rest of it, so one with a backquote inside is not understood.
      for (at++; at < source.length && source[at] !== char; at++) if (source[at] === "\\") at++;
    } else if (char === "/" && source[at + 1] === "*") {
      const end = source.indexOf("*/", at + 2);
      if (end < 0) return undefined;
      at = end + 1;
    } else if (char === "/" && source[at + 1] === "/") {
      const end = source.indexOf("\n", at);
      if (end < 0) return undefined;
      at = end;
    }
  }
  return undefined;
}
