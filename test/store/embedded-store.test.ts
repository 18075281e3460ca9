import { describeStoreContract } from './contract.ts';
import { StoreFixture } from './support.ts';

describeStoreContract('embedded', () => StoreFixture.open());
