/** Runs a client program to its end, with its input and output as octets. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { buffer, text } from 'node:stream/consumers';

/** No client here takes long; one that waits for ever fails its test with what it said. */
const DEADLINE_MS = 120_000;

export interface ProgramEnd {
  /** null when a signal ended it: it took more than two minutes. */
  readonly exitCode: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export async function runProgram(
  program: string,
  args: readonly string[],
  input: string | Uint8Array = '',
): Promise<ProgramEnd> {
  const child = spawn(program, args, { timeout: DEADLINE_MS, killSignal: 'SIGKILL' });
  child.stdin.on('error', () => {}); // it may end without reading all
  child.stdin.end(input);
  const [stdout, stderr, [exitCode]] = await Promise.all([
    buffer(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ]);
  return { exitCode, stdout, stderr };
}

/** @throws Error with what the program said when it does not end with 0. */
export async function runProgramWell(
  program: string,
  args: readonly string[],
  input?: string | Uint8Array,
): Promise<ProgramEnd> {
  const end = await runProgram(program, args, input);
  if (end.exitCode !== 0) {
    throw new Error(`${program} ended with ${end.exitCode}.\n${end.stdout.toString()}\n${end.stderr}`);
  }
  return end;
}
