import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { LayoutRef } from "../contract/mix-spec.ts";
import { InvalidArgumentError } from "../core/error.ts";
import { ID_PATTERN } from "../core/id.ts";
import { type LayoutDocument, parseLayout } from "../layout/document.ts";

/** The folder of shipped documents, beside `src/` or `dist/`. */
const SHIPPED = fileURLToPath(new URL("../../layouts/", import.meta.url));

/** What says whether an image is there; see `Assets`. */
export interface AssetNames {
  demand(name: string | undefined, pointer: string): void;
}

/** Finds layouts by name and checks documents. Shipped documents are read once. */
export class Layouts {
  readonly #assets: AssetNames | undefined;
  readonly #folder: string;
  readonly #known = new Map<string, LayoutDocument>();

  /** @param assets what documents may name; absent: anything. */
  constructor(assets?: AssetNames, folder: string = SHIPPED) {
    this.#assets = assets;
    this.#folder = folder;
  }

  /** The document that `layout` names or is; errors as of {@link named} and {@link check}. */
  resolve(layout: LayoutRef, pointer: string): LayoutDocument {
    return typeof layout === "string" ? this.named(layout, pointer) : this.check(layout, pointer);
  }

  /**
   * A document that a caller sent, at `pointer` of the parameters.
   *
   * @throws {LayoutInvalidError} `ERR_LAYOUT_INVALID` with a pointer into the document, relative to the parameters.
   * @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT`, with such a pointer too, for an image that is no asset.
   */
  check(document: unknown, pointer: string): LayoutDocument {
    const checked = parseLayout(document, pointer);
    this.#assets?.demand(checked.background?.image, `${pointer}/background/image`);
    for (const [index, { image }] of (checked.overlays ?? []).entries())
      this.#assets?.demand(image, `${pointer}/overlays/${index}/image`);
    return checked;
  }

  /** @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` if there is no layout of that name. */
  named(name: string, pointer: string): LayoutDocument {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const text = ID_PATTERN.test(name) ? this.#read(name) : undefined;
    if (text === undefined) throw new InvalidArgumentError(pointer, `there is no layout named ${name}`);
    const document = parseLayout(JSON.parse(text));
    this.#known.set(name, document);
    return document;
  }

  #read(name: string): string | undefined {
    try {
      return readFileSync(`${this.#folder}${name}.json`, "utf8");
    } catch {
      return undefined;
    }
  }
}
