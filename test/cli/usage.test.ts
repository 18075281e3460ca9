import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { runCommand } from './run-command.ts';

describe('wrong use of the command line', () => {
  for (const [args, sentence] of [
    [['frobnicate'], 'There is no command frobnicate; see letterlock help.'],
    [['--data', 'x', 'user', 'list'], 'Options stand behind the command; see letterlock help.'],
    [['user'], 'user needs one of create, import, list, show, password, remove; see letterlock help user.'],
    [
      ['alias', 'rename', 'x'],
      'There is no command alias rename, but create, list, show, remove; see letterlock help alias.',
    ],
    [['help', 'frobnicate'], 'There is no command frobnicate; see letterlock help.'],
    [['user', 'show'], 'user show needs ADDRESS; see letterlock help user show.'],
    [['group', 'add', 'a@b'], 'group add needs MEMBER; see letterlock help group add.'],
    [
      ['alias', 'create', 'a@b', 'c@d', 'e@f'],
      'alias create takes only ADDRESS TARGET besides options; see letterlock help alias create.',
    ],
    [['serve', 'now'], 'serve takes nothing besides options; see letterlock help serve.'],
    [['user', 'list', '--verbose'], "Unknown option '--verbose'; see letterlock help user list."],
    [
      ['user', 'list', '--domain'],
      "Option '--domain <value>' argument missing; see letterlock help user list.",
    ],
    [
      ['user', 'list', '--json=yes'],
      "Option '--json' does not take an argument; see letterlock help user list.",
    ],
    [
      ['user', 'create', 'a@example.test', '--password', 'secret'],
      'A password is not taken from the command line, where every user of this machine can read it: type it when asked, or pipe it in.',
    ],
    [
      ['user', 'create', 'a@example.test', '--quota', 'much'],
      '--quota needs a size such as 500M or 5G, or none.',
    ],
    [['health', '--url', 'localhost'], '--url needs an address that begins with http:// or https://.'],
    [['demo', '--users', '-1'], "Option '--users' argument is ambiguous; see letterlock help demo."],
    [['demo', '--users', 'ten'], '--users needs a whole number from 0 to 9998.'],
    [['demo', '--users', '9999'], '--users needs a whole number from 0 to 9998.'],
    [['demo', '--port-base', '64543'], '--port-base needs a whole number from 0 to 64542.'],
    [['demo', '--domain', 'a b'], '--domain needs a domain name.'],
    [['demo', '--password', ''], '--password needs 1 to 1024 octets.'],
  ] as const) {
    it(`is answered with exit code 2 and one sentence: ${args.join(' ')}`, async () => {
      const { exitCode, stdout, stderr } = await runCommand(args);
      assert.deepEqual(
        { exitCode, stdout, stderr },
        { exitCode: 2, stdout: '', stderr: `letterlock: ${sentence}\n` },
      );
    });
  }

  it('shows no password back', async () => {
    const { stderr } = await runCommand(['user', 'password', 'a@example.test', '--password=hunter2']);
    assert.doesNotMatch(stderr, /hunter2/);
  });

  it('cannot steer the terminal through the words that are shown back', async () => {
    const { stderr } = await runCommand(['\x1b[2J']);
    assert.equal(stderr, 'letterlock: There is no command \ufffd[2J; see letterlock help.\n');
  });

  it('names every place where a configuration is wrong', async () => {
    const { exitCode, stderr } = await runCommand(['config', 'check', '--config', '/nonexistent.yaml']);
    assert.equal(exitCode, 2);
    assert.match(stderr, /^\/nonexistent\.yaml: cannot be read \(ENOENT\)$/m);
  });
});

describe('help', () => {
  it('lists every command, with or without being asked', async () => {
    const { exitCode, stdout, stderr } = await runCommand(['help']);
    assert.deepEqual([exitCode, stderr], [0, '']);
    for (const command of ['serve', 'org create', 'user import', 'config check', 'fsck', 'health']) {
      assert.match(stdout, new RegExp(`^  ${command} `, 'm'));
    }
    assert.deepEqual(await runCommand([]), { exitCode, stdout, stderr });
    assert.deepEqual(await runCommand(['--help']), { exitCode, stdout, stderr });
  });

  it('lists the commands of one area', async () => {
    const { stdout } = await runCommand(['help', 'group']);
    assert.match(stdout, /group remove-member/);
    assert.doesNotMatch(stdout, /user create/);
  });

  it('shows usage, options and examples of each command, however it is asked for', async () => {
    const { stdout: list } = await runCommand(['help']);
    const names = [...list.matchAll(/^ {2}(\S+(?: \S+)?) {2}/gm)].map(([, name]) => name!);
    assert.ok(names.length > 20);
    for (const name of names) {
      const { exitCode, stdout } = await runCommand(['help', ...name.split(' ')]);
      assert.equal(exitCode, 0);
      assert.match(stdout, new RegExp(`^Usage: letterlock ${name} \\[OPTIONS\\]`));
      assert.match(stdout, new RegExp(`^Examples:\\n(  .*\\bletterlock ${name}\\b.*\\n)+$`, 'm'));
      assert.equal((await runCommand([...name.split(' '), '--help'])).stdout, stdout);
    }
  });
});
