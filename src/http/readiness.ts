/**
 * Asks the parts of the server whether they work.
 *
 * A part is essential when without it the server can do none of its work: then it is not ready, and a load balancer sends
 * its clients elsewhere. Without another part it is degraded: mail still arrives, and to turn senders away, or to restart
 * the process, would only make it worse.
 */
import { setTimeout } from 'node:timers/promises';

export interface Probe {
  /** Shown to whoever asks: `store`, `keys`. */
  readonly name: string;
  readonly isEssential: boolean;
  isWorking(): boolean | Promise<boolean>;
}

export interface Readiness {
  readonly status: 'ready' | 'not ready';
  /** Essential parts that do not work; absent when there is none. */
  readonly failing?: readonly string[];
  /** Others that do not. */
  readonly degraded?: readonly string[];
}

/** A part does not work, too, when asking it fails, or when it has not answered by the deadline. */
export async function workingParts(
  probes: readonly Probe[],
  deadlineMs: number,
): Promise<ReadonlyMap<string, boolean>> {
  const answers = await Promise.all(probes.map((probe) => isWorking(probe, deadlineMs)));
  return new Map(probes.map(({ name }, index) => [name, answers[index]!]));
}

export async function readiness(probes: readonly Probe[], deadlineMs: number): Promise<Readiness> {
  const working = await workingParts(probes, deadlineMs);
  const broken = probes.filter(({ name }) => working.get(name) === false);
  const names = (isEssential: boolean) =>
    broken.filter((probe) => probe.isEssential === isEssential).map(({ name }) => name);
  const [failing, degraded] = [names(true), names(false)];
  return {
    status: failing.length === 0 ? 'ready' : 'not ready',
    ...(failing.length === 0 ? {} : { failing }),
    ...(degraded.length === 0 ? {} : { degraded }),
  };
}

async function isWorking(probe: Probe, deadlineMs: number): Promise<boolean> {
  const deadline = new AbortController();
  const late = setTimeout(deadlineMs, false, { signal: deadline.signal, ref: false });
  // It is aborted when the probe answers first; nobody waits for it then.
  late.catch(() => {});
  try {
    return await Promise.race([probe.isWorking(), late]);
  } catch {
    return false;
  } finally {
    deadline.abort();
  }
}
