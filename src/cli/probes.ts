/**
 * What can fail while the server goes on, and which of it makes the server useless. docs/operating.md, "Health".
 *
 * Nothing is tried out for an answer: each part says what its last work showed.
 */
import type { Config } from '../config/load.ts';
import type { Probe } from '../http/readiness.ts';
import type { Certificate } from '../tls/certificate.ts';
import type { Parts } from './parts.ts';

/** Receiving mail needs no key, so that only a server that does nothing but show mail is useless without. */
export function probesOf(
  config: Config,
  { store, keyring }: Parts,
  certificate: Certificate | null,
): readonly Probe[] {
  const isReceiving = (['mx', 'lmtp', 'submission'] as const).some((role) => config.roles.includes(role));
  return [
    { name: 'store', isEssential: true, isWorking: () => store.hasSpace },
    { name: 'accept-journal', isEssential: true, isWorking: () => store.canCommit },
    { name: 'keys', isEssential: !isReceiving, isWorking: () => keyring.canUseKeys },
    // All servers ask the same service: to take this one away would help nobody.
    { name: 'key-service', isEssential: false, isWorking: () => keyring.counts.isServiceAnswering },
    // Slower without it, never wrong.
    { name: 'lease-cache', isEssential: false, isWorking: () => keyring.cacheState !== 'failing' },
    { name: 'audit', isEssential: false, isWorking: () => !keyring.checkpoints.isFailing },
    {
      name: 'certificate',
      isEssential: false,
      isWorking: () => certificate === null || certificate.expiresAt.getTime() > Date.now(),
    },
  ];
}
