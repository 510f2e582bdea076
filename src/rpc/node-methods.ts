import { z } from "zod";
import { Id } from "../contract/source-spec.ts";
import { InvalidArgumentError } from "../core/error.ts";
import { nearest } from "../core/nearest.ts";
import { fromBase64 } from "../service/assets.ts";
import { EVENT_TYPES } from "../service/events.ts";
import { ACTIONS } from "../service/tokens.ts";
import { type Method, method, ofMix, ofNode } from "./method.ts";

/** 5 MB in base64, and some room so that the asset's own limit answers. */
const MAX_BASE64 = 7 * 1024 * 1024;
const YEAR_S = 31_622_400;
const Nothing = z.strictObject({});
const OfAsset = z.strictObject({ name: Id });

export const NODE_METHODS: readonly Method[] = [
  method({
    name: "node.info",
    action: "control",
    reads: true,
    params: Nothing,
    covers: ofNode,
    handle: ({ service }) => service.info(),
  }),
  method({
    name: "node.probe",
    action: "control",
    reads: true,
    params: Nothing,
    covers: ofNode,
    handle: ({ service }) => service.probe(),
  }),
  method({
    name: "node.drain",
    action: "control",
    params: Nothing,
    covers: ofNode,
    handle: ({ service }) => {
      service.drain();
      return { draining: true, mixes: service.mixes().length };
    },
  }),
  method({
    name: "token.issue",
    action: "control",
    params: z.strictObject({
      mix: Id.optional(),
      actions: z
        .array(z.enum(["publish", "play", "control"]))
        .min(1)
        .max(ACTIONS.length),
      ttlS: z.number().positive().max(YEAR_S),
    }),
    covers: ofNode,
    handle: ({ service, grant }, { ttlS, ...wanted }) => ({
      token: service.tokens.issue(wanted, ttlS, grant),
    }),
  }),
  method({
    name: "snapshot.take",
    action: "play",
    reads: true,
    params: z.strictObject({
      mix: Id,
      view: Id.default("main"),
      format: z.enum(["png", "jpeg"]).default("png"),
    }),
    covers: ofMix,
    handle: async ({ service }, { mix, view, format }) => {
      const { data, width, height, ptsUs } = await service.mix(mix).snapshot(view, format);
      return { data: Buffer.from(data).toString("base64"), width, height, ptsUs };
    },
  }),
  method({
    name: "events.subscribe",
    action: "control",
    reads: true,
    params: z.strictObject({ mix: Id.optional(), types: z.array(z.string().max(64)).max(64).optional() }),
    covers: ({ mix }) => mix,
    runsIn: ofNode,
    handle: ({ subscribe }, filter) => {
      checkTypes(filter.types ?? []);
      if (subscribe === undefined)
        throw new InvalidArgumentError("", "events come over a WebSocket: GET /rpc");
      subscribe(filter);
      return { subscribed: true };
    },
  }),
];

export const ASSET_METHODS: readonly Method[] = [
  method({
    name: "asset.put",
    action: "control",
    params: z.strictObject({ name: Id, data: z.string().max(MAX_BASE64) }),
    covers: ofNode,
    handle: ({ service }, { name, data }) => service.putAsset(name, fromBase64(data, "/data")),
  }),
  method({
    name: "asset.get",
    action: "control",
    reads: true,
    params: OfAsset,
    covers: ofNode,
    handle: async ({ service }, { name }) => {
      const { data, ...asset } = await service.assets.get(name);
      return { ...asset, data: Buffer.from(data).toString("base64") };
    },
  }),
  method({
    name: "asset.list",
    action: "control",
    reads: true,
    params: Nothing,
    covers: ofNode,
    handle: ({ service }) => service.assets.list(),
  }),
  method({
    name: "asset.remove",
    action: "control",
    params: OfAsset,
    covers: ofNode,
    handle: async ({ service }, { name }) => {
      await service.assets.remove(name);
      return null;
    },
  }),
];

function checkTypes(types: readonly string[]): void {
  for (const [index, type] of types.entries()) {
    if ((EVENT_TYPES as readonly string[]).includes(type)) continue;
    const near = nearest(type, EVENT_TYPES);
    const hint = near === undefined ? "" : `; did you mean "${near}"?`;
    throw new InvalidArgumentError(`/types/${index}`, `is no type of event${hint}`);
  }
}
