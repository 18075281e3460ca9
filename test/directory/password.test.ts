import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { hashPassword, unmatchableHash, verifyPassword } from '../../src/directory/password.ts';
import { PASSWORD_OCTETS } from '../../src/limits.ts';

describe('passwords', () => {
  it('fit their own hash alone, in whatever Unicode form they are typed', async () => {
    const hash = await hashPassword('Gru\u00df M\u00fcller');
    assert.match(hash, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[^$]{22}\$[^$]{43}$/);
    assert.ok(await verifyPassword('Gru\u00df Mu\u0308ller', hash));
    assert.ok(!(await verifyPassword('Gruss M\u00fcller', hash)));
    assert.notEqual(await hashPassword('Gru\u00df M\u00fcller'), hash);
  });

  it('are checked against a hash that another program made, with its own cost', async () => {
    // A test vector of the reference implementation (phc-winner-argon2, src/test.c).
    const hash = '$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4';
    assert.ok(await verifyPassword('password', hash));
    assert.ok(!(await verifyPassword('passwords', hash)));
  });

  it('empty or overlong are never made and never right', async () => {
    const overlong = 'x'.repeat(PASSWORD_OCTETS + 1);
    for (const password of ['', overlong]) {
      await assert.rejects(hashPassword(password), { kind: 'refused', code: 'invalid' });
      assert.ok(!(await verifyPassword(password, unmatchableHash())));
    }
    assert.ok(
      await verifyPassword('x'.repeat(PASSWORD_OCTETS), await hashPassword('x'.repeat(PASSWORD_OCTETS))),
    );
  });

  it('are not compared with what is no hash of ours', async () => {
    await assert.rejects(verifyPassword('x', '$2y$10$abc'), { kind: 'integrity', code: 'format' });
  });
});
