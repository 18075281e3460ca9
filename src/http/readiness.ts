/** Asks the parts of the server whether they are ready to work. */
import { setTimeout } from 'node:timers/promises';

export interface Probe {
  /** Shown to whoever asks: `store`, `keys`. */
  readonly name: string;
  isReady(): boolean | Promise<boolean>;
}

/** @returns the names of those that are not ready, that fail, or that have not answered by the deadline. */
export async function unready(probes: readonly Probe[], deadlineMs: number): Promise<readonly string[]> {
  const answers = await Promise.all(probes.map((probe) => isReady(probe, deadlineMs)));
  return probes.filter((_, index) => !answers[index]).map(({ name }) => name);
}

async function isReady(probe: Probe, deadlineMs: number): Promise<boolean> {
  const deadline = new AbortController();
  const late = setTimeout(deadlineMs, false, { signal: deadline.signal, ref: false });
  // It is aborted when the probe answers first; nobody waits for it then.
  late.catch(() => {});
  try {
    return await Promise.race([probe.isReady(), late]);
  } catch {
    return false;
  } finally {
    deadline.abort();
  }
}
