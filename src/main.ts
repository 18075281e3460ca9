#!/usr/bin/env node
/** The entry: sets what concerns the whole process, before anything that could depend on it is loaded. */
import { THREAD_POOL_SIZE } from './limits.ts';

// The pool's first use fixes its size.
process.env['UV_THREADPOOL_SIZE'] ??= String(THREAD_POOL_SIZE);
// Other users of the machine have no business with anything that is written.
process.umask(0o077);

// A reader that has seen enough, such as head, is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

const { runCommandLine } = await import('./cli/program.ts');
process.exitCode = await runCommandLine(process.argv.slice(2), process);
