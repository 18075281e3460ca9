/** When a message that was deferred is tried again, and when no more. RFC 5321 §4.5.4.1. */
import { RETRY_JITTER } from '../limits.ts';

export interface Schedule {
  /** From one attempt to the next; the last repeats. */
  readonly retryMs: readonly number[];
  /** From its arrival a message is tried for so long. */
  readonly expiryMs: number;
  /** Its sender is told after so long that it is delayed. */
  readonly delayReportMs: number;
}

export interface Age {
  readonly arrivedAt: number;
  /** Attempts made so far, at least one. */
  readonly attempts: number;
  readonly now: number;
}

/**
 * Not in step with other messages that were deferred with it: each wait is a little longer or shorter. A message is tried
 * once more right when it expires.
 * @param random From 0 to 1.
 */
export function nextAttempt(schedule: Schedule, { arrivedAt, attempts, now }: Age, random: number): number {
  const { retryMs, expiryMs } = schedule;
  const wait = retryMs[Math.min(attempts, retryMs.length) - 1]!;
  const jittered = Math.round(wait * (1 - RETRY_JITTER + 2 * RETRY_JITTER * random));
  const expiresAt = arrivedAt + expiryMs;
  return now < expiresAt ? Math.min(now + jittered, expiresAt) : now + jittered;
}

export const isExpired = (schedule: Schedule, { arrivedAt, now }: Omit<Age, 'attempts'>): boolean =>
  now >= arrivedAt + schedule.expiryMs;

export const isDelayed = (schedule: Schedule, { arrivedAt, now }: Omit<Age, 'attempts'>): boolean =>
  now >= arrivedAt + schedule.delayReportMs;
