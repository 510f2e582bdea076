/** What `docs/rpc.md` says of a method beside its parameters, which are the schema's. In Markdown. */
export interface MethodText {
  readonly does: string;
  readonly answers: string;
  /** Codes beside `ERR_INVALID_ARGUMENT`, `ERR_UNAUTHORIZED`, `ERR_BUSY` and `ERR_INTERNAL`, which any may answer. */
  readonly errors?: readonly string[];
  /** By pointer, for parameters that say nothing of themselves. */
  readonly params?: Readonly<Record<string, string>>;
}

const NOTHING = "`null`.";
const NO_MIX = ["ERR_NOT_FOUND"];
const LAYOUT_PARAM = "A shipped layout's name, or a [document](layouts.md).";

const NODE: Record<string, MethodText> = {
  "node.info": { does: "Says who this node is and how busy.", answers: "[Node](#node)." },
  "node.probe": {
    does: "Tries what this machine can decode, scale, compose and encode; takes seconds.",
    answers: "What `tessera probe --json` prints ([hardware.md](hardware.md)).",
    errors: ["ERR_DEVICE"],
  },
  "node.drain": {
    does: "From now on this node takes no new mix and `/readyz` answers 503; mixes that run go on.",
    answers: "`{draining: true, mixes}`, how many mixes are left.",
  },
  "token.issue": {
    does: "Signs a token that allows a part of what the caller may do, for a time.",
    answers: "`{token}`.",
    params: {
      "/mix": "The only mix that it is for. Absent: all, and the node.",
      "/actions": "See [operating.md](operating.md#tokens).",
      "/ttlS": "For how many seconds; never longer than the caller's own token.",
    },
  },
  "snapshot.take": {
    does: "Takes a still of what a view shows now.",
    answers:
      "`{data, width, height, ptsUs}`: the image in base64, its size in pixels, its time on the mix clock.",
    errors: NO_MIX,
  },
  "events.subscribe": {
    does: "Sends [events](#events) over this WebSocket from now on. Up to 64 subscriptions a socket.",
    answers: "`{subscribed: true}`.",
    errors: ["ERR_LIMIT"],
    params: { "/mix": "Absent: all mixes.", "/types": "Absent: all types." },
  },
};

const MIX: Record<string, MethodText> = {
  "mix.create": {
    does: "Creates a mix and starts it. Answers at once: sources and outputs connect afterwards.",
    answers: "[Mix](#mix).",
    errors: ["ERR_EXISTS", "ERR_FORBIDDEN", "ERR_NOT_SUPPORTED"],
  },
  "mix.get": { does: "Says what a mix is made of.", answers: "[Mix](#mix).", errors: NO_MIX },
  "mix.list": { does: "Says the same of all mixes.", answers: "A list of [Mix](#mix)." },
  "mix.stats": {
    does: "Measures a mix.",
    answers: "The fields that [operating.md](operating.md#mixstats) lists.",
    errors: NO_MIX,
  },
  "mix.close": { does: "Finishes a mix's outputs and forgets it.", answers: NOTHING, errors: NO_MIX },
  "mix.apply": {
    does: "Makes a running mix equal to a spec and changes only what differs. Assignments of `layout.set` stay.",
    answers: "[Mix](#mix).",
    errors: ["ERR_NOT_FOUND", "ERR_REVISION", "ERR_FORBIDDEN", "ERR_NOT_SUPPORTED"],
    params: { "/expect": "The mix's revision that the caller knows; another is `ERR_REVISION`." },
  },
};

const SOURCE: Record<string, MethodText> = {
  "source.add": {
    does: "Adds a source. Answers at once, in state `connecting`.",
    answers: "[Source](#source).",
    errors: ["ERR_NOT_FOUND", "ERR_EXISTS", "ERR_FORBIDDEN", "ERR_NOT_SUPPORTED"],
  },
  "source.update": {
    does: "Changes a source while it runs; what is left out stays.",
    answers: "[Source](#source).",
    errors: NO_MIX,
  },
  "source.remove": { does: "Removes a source and closes its connection.", answers: NOTHING, errors: NO_MIX },
  "source.list": { does: "Lists a mix's sources.", answers: "A list of [Source](#source).", errors: NO_MIX },
};

const VIEW: Record<string, MethodText> = {
  "view.add": {
    does: "Adds a view: one more composed picture, with a layout, size and rate of its own.",
    answers: "[View](#view).",
    errors: ["ERR_NOT_FOUND", "ERR_EXISTS", "ERR_NOT_SUPPORTED"],
  },
  "view.update": {
    does: "Changes a view's slate; its size and rate are fixed, its layout is `layout.set`'s.",
    answers: "[View](#view).",
    errors: NO_MIX,
  },
  "view.remove": { does: "Removes a view that no output shows.", answers: NOTHING, errors: NO_MIX },
  "view.list": { does: "Lists a mix's views.", answers: "A list of [View](#view).", errors: NO_MIX },
  "layout.set": {
    does: "Puts a layout on air, moves sources between slots, or both, at one known frame. Answers when it is on air.",
    answers: "[Layout](#layout).",
    errors: ["ERR_NOT_FOUND", "ERR_REVISION", "ERR_LAYOUT_INVALID", "ERR_NOT_SUPPORTED"],
    params: {
      "/layout": `${LAYOUT_PARAM} Absent: the one on air.`,
      "/assign":
        "Slot to source; `empty` keeps the slot empty, `null` gives it back to the document. Slots that are not named stay as they were assigned.",
      "/expect":
        "The view's revision that the caller knows; another is `ERR_REVISION`. A change for later counts from the moment it is asked for.",
      "/dryRun": "Only says where everything would be.",
      "/at":
        "On the mix clock in µs, at most 10 s ahead: the first frame not before it. Absent or past: the next frame. Until then nothing else waits, and what changes meanwhile stays: the change is laid over it.",
      "/ready": "`wait` is not supported yet.",
      "/waitMs": "Not heeded yet.",
    },
  },
  "layout.get": { does: "Says where everything is.", answers: "[Layout](#layout).", errors: NO_MIX },
};

const OUTPUT: Record<string, MethodText> = {
  "output.add": {
    does: "Adds an output. Answers at once, in state `connecting`.",
    answers: "[Output](#output); of kind `rtp` with `sdp`, the session description for whoever receives it.",
    errors: ["ERR_NOT_FOUND", "ERR_EXISTS", "ERR_FORBIDDEN", "ERR_NOT_SUPPORTED"],
  },
  "output.update": {
    does: "Changes an output while it runs; what is left out stays.",
    answers: "[Output](#output).",
    errors: NO_MIX,
  },
  "output.remove": {
    does: "Ends an output; a recording is finished first.",
    answers: NOTHING,
    errors: NO_MIX,
  },
  "output.list": { does: "Lists a mix's outputs.", answers: "A list of [Output](#output).", errors: NO_MIX },
  "output.split": {
    does: "Begins a recording's next part at the next key frame.",
    answers: "[Output](#output).",
    errors: NO_MIX,
  },
  "output.pause": {
    does: "Pauses a recording: its part ends.",
    answers: "[Output](#output).",
    errors: NO_MIX,
  },
  "output.resume": {
    does: "Goes on after a pause, in the next part.",
    answers: "[Output](#output).",
    errors: NO_MIX,
  },
};

const ASSET: Record<string, MethodText> = {
  "asset.put": {
    does: "Stores an image under a name: PNG, JPEG or SVG, at most 5 MB and 16 megapixels.",
    answers: "[Asset](#asset).",
    errors: ["ERR_EXISTS", "ERR_LIMIT", "ERR_STORAGE"],
    params: { "/data": "The file in base64." },
  },
  "asset.get": {
    does: "Fetches an image.",
    answers: "[Asset](#asset) and `data`, the file in base64.",
    errors: ["ERR_NOT_FOUND"],
  },
  "asset.list": { does: "Lists all images.", answers: "A list of [Asset](#asset)." },
  "asset.remove": {
    does: "Forgets a name; what is on air stays until its mix is restarted.",
    answers: NOTHING,
    errors: ["ERR_NOT_FOUND"],
  },
};

/** In the order of the page. */
export const METHOD_TEXTS: Readonly<Record<string, MethodText>> = {
  ...MIX,
  ...SOURCE,
  ...VIEW,
  ...OUTPUT,
  ...ASSET,
  ...NODE,
};
