import { writeFileSync } from "node:fs";
import { z } from "zod";
import { MixSpec, ViewSpec } from "../src/contract/mix-spec.ts";
import { OutputSpec } from "../src/contract/output-spec.ts";
import { SourceSpec } from "../src/contract/source-spec.ts";
import { ID_PATTERN } from "../src/core/id.ts";
import { LayoutDocument } from "../src/layout/document.ts";
import { METHODS } from "../src/rpc/methods.ts";
import { NOT_SUPPORTED } from "../src/rpc/not-supported.ts";
import { ANSWERS, ENVELOPE, ERROR, EVENTS, type Fields } from "./rpc-data.ts";
import { METHOD_TEXTS, type MethodText } from "./rpc-methods.ts";

/** The part of JSON Schema that our schemas become. */
interface Json {
  readonly title?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Json[];
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly multipleOf?: number;
  readonly items?: Json;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly properties?: Readonly<Record<string, Json>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Json | boolean;
}

/** One line of a table of parameters. */
interface Row {
  readonly pointer: string;
  readonly type: string;
  readonly absent: string;
  readonly text: string;
}

/** Schemas that have a place of their own. */
const NAMED = new Map<unknown, string>([
  [ViewSpec, "[ViewSpec](#viewspec)"],
  [SourceSpec, "[SourceSpec](#sourcespec)"],
  [OutputSpec, "[OutputSpec](#outputspec)"],
  [MixSpec, "[MixSpec](#mixspec)"],
  [LayoutDocument, "[layout document](layouts.md)"],
]);

/** What a method is about stands first. */
const WHAT = ["/mix", "/view", "/source", "/output"];

const HEAD = `# JSON-RPC

The methods of \`tessera serve\`, what they take and what they answer. Written by \`node scripts/rpc-reference.ts\` from the schemas that check each request; a test fails where this page and the program differ.

JSON-RPC 2.0 over \`POST /rpc\` (\`content-type: application/json\`) and over a WebSocket at \`/rpc\`. Changes of one mix are made in the order in which they came; who only reads waits for none but its own on the same WebSocket or in the same batch. At most 100 requests in a batch, and 1 MB in a request but for \`asset.put\`.

- Parameters are listed by [RFC 6901](https://www.rfc-editor.org/rfc/rfc6901) pointer, the same that an error names; \`N\` is an index, \`ID\` an id of yours. A parameter that is not listed is an error. What is required inside an object is so only where the object is given.
- An id is 1 to 64 of \`A-Z a-z 0-9 _ -\`.
- Every method also takes \`/idempotencyKey\`, a string of 1 to 256 characters: a request that changes something and comes again with its key gets the first answer and does nothing. The last 256 keys of a mix are kept, also over restarts.
- Adding what is there with an equal body answers what is there; with another body, \`ERR_EXISTS\`.
- A request that fails has changed nothing. [errors.md](errors.md) lists the codes; beside those named at a method any may answer \`ERR_INVALID_ARGUMENT\`, \`ERR_UNAUTHORIZED\`, \`ERR_BUSY\` and \`ERR_INTERNAL\`.
- What is named here and answers \`ERR_NOT_SUPPORTED\` is in [not-supported.md](not-supported.md).
`;

/** The whole page. */
export function rpcReference(): string {
  return [
    HEAD,
    "## Methods\n",
    [...Object.keys(METHOD_TEXTS)]
      .map((name) => `[\`${name}\`](#${name.replace(".", "").toLowerCase()})`)
      .join(" · "),
    "",
    ...Object.entries(METHOD_TEXTS).map(([name, text]) => methodPart(name, text)),
    "## Specs\n",
    `### MixSpec\n\n${table(rowsOf(MixSpec))}`,
    `### ViewSpec\n\n${table(rowsOf(ViewSpec))}`,
    union("SourceSpec", SourceSpec, new Set(NOT_SUPPORTED.flatMap(({ sourceKinds }) => sourceKinds ?? []))),
    union("OutputSpec", OutputSpec, new Set(NOT_SUPPORTED.flatMap(({ outputKinds }) => outputKinds ?? []))),
    "## Answers\n",
    ...Object.entries(ANSWERS).map(([name, fields]) => `### ${name}\n\n${fieldTable(fields)}`),
    eventsPart(),
  ].join("\n");
}

function methodPart(name: string, { does, answers, errors = [], params = {} }: MethodText): string {
  const schema = METHODS.get(name)?.params;
  if (schema === undefined) throw new Error(`there is no method ${name}`);
  const rows = rowsOf(schema).filter(({ pointer }) => pointer !== "/idempotencyKey");
  for (const pointer of Object.keys(params)) {
    if (!rows.some((row) => row.pointer === pointer)) throw new Error(`${name} has no ${pointer}`);
  }
  const told = rows
    .map((row) => ({ ...row, text: params[row.pointer] ?? row.text }))
    .sort((a, b) => Number(WHAT.includes(b.pointer)) - Number(WHAT.includes(a.pointer)));
  const takes = extendsMixSpec(schema)
    ? "Takes a [MixSpec](#mixspec).\n"
    : rows.length === 0
      ? "Takes nothing.\n"
      : table(told);
  const codes = errors.length === 0 ? "" : ` Errors: ${errors.map((code) => `\`${code}\``).join(", ")}.`;
  return `### \`${name}\`\n\n${does}\n\n${takes}\nAnswers: ${answers}${codes}\n`;
}

const extendsMixSpec = (schema: z.ZodObject): boolean =>
  Object.entries(MixSpec.shape).every(([key, field]) => schema.shape[key] === field);

/** What all kinds have, then what each has beside that. */
function union(
  name: string,
  schema: typeof SourceSpec | typeof OutputSpec,
  unsupported: ReadonlySet<string>,
): string {
  const kinds = schema.options.map((option: z.ZodObject) => ({
    kind: [...(option.shape.kind as z.ZodLiteral).values].join(),
    rows: rowsOf(option).filter(({ pointer }) => pointer !== "/kind"),
  }));
  const [first] = kinds;
  const isCommon = (row: Row): boolean =>
    kinds.every(({ rows }) => rows.some((other) => JSON.stringify(other) === JSON.stringify(row)));
  const kindRow = {
    pointer: "/kind",
    type: kinds.map(({ kind }) => `\`"${kind}"\``).join(", "),
    absent: "**required**",
    text: "",
  };
  const parts = kinds
    .filter(({ kind }) => !unsupported.has(kind))
    .map(({ kind, rows }) => {
      const own = rows.filter((row) => !isCommon(row));
      return `Kind \`${kind}\`${own.length === 0 ? " has nothing else.\n" : `:\n\n${table(own)}`}`;
    });
  const missing = kinds.filter(({ kind }) => unsupported.has(kind)).map(({ kind }) => `\`${kind}\``);
  const refused = missing.length === 0 ? "" : `Not supported yet: ${missing.join(", ")}.\n`;
  return [`### ${name}\n`, table([kindRow, ...(first?.rows ?? []).filter(isCommon)]), ...parts, refused].join(
    "\n",
  );
}

function eventsPart(): string {
  return [
    "## Events\n",
    'After `events.subscribe` a WebSocket gets `{"jsonrpc": "2.0", "method": "event", "params": {...}}`. Who does not read 2000 of them is closed with code 4001; when the time of its token is over, any WebSocket is, with code 3000.\n',
    fieldTable(ENVELOPE),
    `An \`error\` in an event is an object:\n\n${fieldTable(ERROR)}`,
    ...Object.entries(EVENTS).map(
      ([type, [what, fields]]) =>
        `### \`${type}\`\n\n${what}\n${Object.keys(fields).length === 0 ? "" : `\n${fieldTable(fields)}`}`,
    ),
  ].join("\n");
}

/** Every parameter of a schema, nested ones after the object that holds them. */
function rowsOf(schema: z.ZodType): Row[] {
  const json = z.toJSONSchema(schema, {
    io: "input",
    override: ({ zodSchema, jsonSchema }) => {
      const name = NAMED.get(zodSchema) ?? NAMED.get(zodSchema._zod.parent);
      if (name !== undefined && zodSchema !== (schema as unknown)) jsonSchema.title = name;
    },
  });
  return fieldsOf(json as Json, "");
}

function fieldsOf({ properties = {}, required = [] }: Json, under: string): Row[] {
  return Object.entries(properties).flatMap(([key, field]) => {
    const pointer = `${under}/${key}`;
    const row: Row = {
      pointer,
      type: typeText(field),
      absent: required.includes(key) ? "**required**" : defaultText(field.default),
      text: textOf(field) ?? "",
    };
    const inner = field.title === undefined ? fieldsOf(field, pointer) : [];
    return [row, ...inner];
  });
}

/** What may also be null says what it is inside. */
const textOf = ({ description, anyOf = [] }: Json): string | undefined =>
  description ?? anyOf.map(textOf).find((text) => text !== undefined);

const defaultText = (value: unknown): string =>
  value === undefined || JSON.stringify(value) === "{}" || JSON.stringify(value) === "[{}]"
    ? ""
    : `\`${JSON.stringify(value)}\``;

function typeText(json: Json): string {
  if (json.title !== undefined) return json.title;
  if (json.anyOf !== undefined) return json.anyOf.map(typeText).join(" or ");
  if (json.const !== undefined) return `\`${JSON.stringify(json.const)}\``;
  if (json.enum !== undefined) return json.enum.map((one) => `\`${JSON.stringify(one)}\``).join(", ");
  switch (json.type) {
    case "string":
      return stringText(json);
    case "integer":
    case "number":
      return `${json.type}${rangeText(json)}`;
    case "array":
      return `list${countText(json)} of ${typeText(json.items ?? {})}`;
    case "object":
      return json.properties === undefined && typeof json.additionalProperties === "object"
        ? `object: \`ID\` to ${typeText(json.additionalProperties)}`
        : "object";
    default:
      return json.type ?? "anything";
  }
}

/** What else a string must be like is said in its description: patterns are for programs. */
function stringText({ pattern, minLength, maxLength }: Json): string {
  if (pattern === ID_PATTERN.source) return "id";
  const length =
    maxLength === undefined
      ? ""
      : ` of ${minLength === undefined ? "at most" : `${minLength} to`} ${maxLength} characters`;
  return `string${length}`;
}

const countText = ({ minItems, maxItems }: Json): string =>
  maxItems === undefined ? "" : ` (${minItems === undefined ? "at most" : `${minItems} to`} ${maxItems})`;

/** Bounds that only say that a number is a safe integer say nothing. */
function rangeText({ minimum, exclusiveMinimum, maximum, multipleOf }: Json): string {
  const isSaid = (bound: number | undefined): bound is number =>
    bound !== undefined && Math.abs(bound) !== Number.MAX_SAFE_INTEGER;
  const parts = [
    isSaid(minimum) && isSaid(maximum) ? `${minimum} to ${maximum}` : "",
    isSaid(minimum) && !isSaid(maximum) ? `at least ${minimum}` : "",
    exclusiveMinimum === undefined ? "" : `above ${exclusiveMinimum}`,
    !isSaid(minimum) && isSaid(maximum) ? `at most ${maximum}` : "",
    multipleOf === undefined ? "" : multipleOf === 2 ? "even" : `a multiple of ${multipleOf}`,
  ];
  const said = parts.filter((part) => part !== "");
  return said.length === 0 ? "" : ` ${said.join(", ")}`;
}

const table = (rows: readonly Row[]): string =>
  markdown(
    ["parameter", "type", "if absent", "what"],
    rows.map((row) => [`\`${row.pointer}\``, row.type, row.absent, row.text]),
  );

const fieldTable = (fields: Fields): string =>
  markdown(
    ["field", "what"],
    Object.entries(fields).map(([name, text]) => [name === "..." ? name : `\`${name}\``, text]),
  );

function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, head.map(() => "---"), ...rows].map(
    (cells) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`,
  );
  return `${lines.join("\n")}\n`;
}

if (import.meta.main) writeFileSync(new URL("../docs/rpc.md", import.meta.url), rpcReference());
