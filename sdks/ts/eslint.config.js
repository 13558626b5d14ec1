// What the compiler does not check. Generated code is left alone.

import eslint from "@eslint/js";
import { defineConfig } from "eslint/config";
import tseslint from "typescript-eslint";

export default defineConfig(
  { ignores: ["build", "dist", "src/gen", "eslint.config.js"] },
  eslint.configs.recommended,
  tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { project: "./tsconfig.test.json", tsconfigRootDir: import.meta.dirname } },
    rules: {
      // Bytes are read by position, and positions are checked before.
      "@typescript-eslint/no-non-null-assertion": "off",
      // `return this.#next(…)` of a function that gives nothing is plain enough.
      "@typescript-eslint/no-confusing-void-expression": "off",
      // Numbers of the wire are compared with names of ours.
      "@typescript-eslint/no-unsafe-enum-assignment": "off",
      // Numbers in messages are what they look like.
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      // A type parameter that only the caller names is how a remote function's type is told.
      "@typescript-eslint/no-unnecessary-type-parameters": "off",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
    },
  },
  {
    files: ["test/**"],
    rules: {
      // `node:test` runs what `test` and `describe` are given; nobody awaits them.
      "@typescript-eslint/no-floating-promises": [
        "error",
        { allowForKnownSafeCalls: [{ from: "package", name: ["test", "describe", "it", "suite"], package: "node:test" }] },
      ],
    },
  },
);
