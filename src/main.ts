#!/usr/bin/env node
/** The entry: sizes the thread pool, which its first use fixes, before anything that could use it is loaded. */
import { THREAD_POOL_SIZE } from './limits.ts';

process.env['UV_THREADPOOL_SIZE'] ??= String(THREAD_POOL_SIZE);

// A reader that has seen enough, such as head, is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

const { runCommandLine } = await import('./cli/program.ts');
process.exitCode = await runCommandLine(process.argv.slice(2), process);
