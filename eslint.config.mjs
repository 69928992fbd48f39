// Rules for our own JavaScript. The packages lie where `make` has put them, not beside this file.
import { createRequire } from "node:module";

const require = createRequire(new URL(".venv/javascript/package.json", import.meta.url));
const js = require("@eslint/js");
const globals = require("globals");

export default [
  js.configs.recommended,
  {
    languageOptions: { ecmaVersion: 2023, globals: globals.browser },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      curly: ["error", "multi-line"],
      "default-case-last": "error",
      eqeqeq: "error",
      "no-alert": "error",
      "no-console": ["error", { allow: ["warn", "error"] }],
      "no-eval": "error",
      "no-implicit-coercion": "error",
      "no-param-reassign": "error",
      "no-shadow": "error",
      "no-throw-literal": "error",
      "no-var": "error",
      "object-shorthand": "error",
      "prefer-const": "error",
      "prefer-template": "error",
    },
  },
  { files: ["book/assets/*.js"], languageOptions: { sourceType: "script" } },
  { files: ["tests/playground/javascript/*.mjs", "*.mjs"], languageOptions: { globals: globals.node } },
];
