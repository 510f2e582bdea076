/**
 * The control process's view of time. It carries no media, so it has no `Clock`; wall time is for people and state,
 * monotonic time for everything that measures.
 */

/** Milliseconds since 1970; may jump when the machine's clock is set. */
export const wallMs = (): number => Date.now();

/** Milliseconds since this process began; never goes back. */
export const monotonicMs = (): number => performance.now();

/**
 * Resolves after `delayMs`. Does not keep the process alive.
 *
 * @throws `signal.reason` if aborted first.
 */
export function delay(delayMs: number, signal?: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  if (signal?.aborted) return Promise.reject(signal.reason);
  const onAbort = (): void => {
    clearTimeout(timer);
    reject(signal?.reason);
  };
  const timer = setTimeout(() => {
    signal?.removeEventListener("abort", onAbort);
    resolve();
  }, delayMs);
  timer.unref();
  signal?.addEventListener("abort", onAbort, { once: true });
  return promise;
}

/** What `work` gives, or `late` after `limitMs`; `work` itself goes on and its failure after that is dropped. */
export async function within<T, L>(work: Promise<T>, limitMs: number, late: L): Promise<T | L> {
  const timer = Promise.withResolvers<L>();
  const handle = setTimeout(() => timer.resolve(late), limitMs);
  try {
    return await Promise.race([work, timer.promise]);
  } finally {
    clearTimeout(handle);
    work.catch(() => undefined);
  }
}
