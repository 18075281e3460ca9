/** One shell for all blocks of a page, as an operator has it: what a block sets is there in the next. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface ShellEnd {
  /** Of the command that failed, or of the last one. */
  readonly exitCode: number;
  /** Standard output and standard error. */
  readonly said: string;
}

export class Shell {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #exited: Promise<number>;
  readonly #scratch: string;

  constructor(options: { readonly cwd: string; readonly scratch: string; readonly env: NodeJS.ProcessEnv }) {
    const { cwd, scratch, env } = options;
    this.#scratch = scratch;
    this.#child = spawn('bash', ['--noprofile', '--norc'], { cwd, env, stdio: ['pipe', 'pipe', 'inherit'] });
    this.#child.stdin!.on('error', () => {}); // it ends with the first block that fails
    this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]();
    this.#exited = once(this.#child, 'exit').then(([code]) => code ?? 1);
  }

  /** Runs commands up to the first that fails. Unless they `mayFail`, that is also the end of the shell. */
  async run(commands: string, mayFail: boolean): Promise<ShellEnd> {
    if (this.#child.exitCode !== null) throw new Error('The shell ended with the block that failed.');
    const [script, output] = [join(this.#scratch, 'block.sh'), join(this.#scratch, 'block.out')];
    await writeFile(script, `${commands}\n`);
    const [before, after] = mayFail ? ['set +e', 'true'] : ['set -e', 'set +e'];
    this.#child.stdin!.write(
      `set -o pipefail; ${before}\n. '${script}' </dev/null >'${output}' 2>&1\necho $?; ${after}\n`,
    );
    const line = await this.#lines.next();
    const exitCode = line.done === true ? await this.#exited : Number(line.value);
    return { exitCode, said: await readFile(output, 'utf8') };
  }

  async end(): Promise<void> {
    this.#child.stdin!.end();
    await this.#exited;
  }
}
