/** A host as a URL has it, without the brackets around an IPv6 address (RFC 3986 §3.2.2). */
export const bareHost = (host: string): string => host.replace(/^\[|\]$/g, "");
