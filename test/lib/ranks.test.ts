import { expect } from 'chai';
import { findRanks } from '../../lib/distributed/ranks.js';

describe('findRanks', () => {
  it('knows what mpirun, mpiexec, srun and torchrun set', () => {
    expect(
      findRanks({
        ...{ OMPI_COMM_WORLD_RANK: '3', OMPI_COMM_WORLD_SIZE: '4' },
        ...{ OMPI_COMM_WORLD_LOCAL_SIZE: '2', OMPI_COMM_WORLD_LOCAL_RANK: '1' },
      }),
    ).to.deep.equal({
      ...{ rank: 3, size: 4, localSize: 2, localRank: 1 },
      ...{ launcher: 'mpirun of Open MPI', variable: 'OMPI_COMM_WORLD_RANK', mpi: 'openmpi', meeting: null },
    });
    expect(findRanks({ PMI_RANK: '0', PMI_SIZE: '2', MPI_LOCALNRANKS: '2' })).to.deep.equal({
      ...{ rank: 0, size: 2, localSize: 2, localRank: 0 },
      ...{ launcher: 'mpiexec of MPICH', variable: 'PMI_RANK', mpi: 'mpich', meeting: null },
    });
    expect(findRanks({ PMIX_RANK: '3', SLURM_NTASKS: '8', SLURM_PROCID: '3' })).to.deep.equal({
      ...{ rank: 3, size: 8, localSize: 1, localRank: 0 },
      ...{ launcher: 'srun', variable: 'PMIX_RANK', mpi: 'openmpi', meeting: null },
    });
    // A step of that job.
    const step = { PMIX_RANK: '1', SLURM_NTASKS: '8', SLURM_NTASKS_PER_NODE: '4' };
    expect(findRanks({ ...step, SLURM_STEP_NUM_TASKS: '1', PMIX_RANK: '0' })).to.equal(null);
    const local = (text: string) =>
      findRanks({ ...step, SLURM_STEP_NUM_TASKS: '6', SLURM_STEP_TASKS_PER_NODE: text })?.localSize;
    expect(findRanks({ ...step, SLURM_STEP_NUM_TASKS: '6' })?.size).to.equal(6);
    expect(['2(x3)', '6', '3,1(x3)'].map(local)).to.deep.equal([2, 6, 4]);
    expect(findRanks({ RANK: '1', WORLD_SIZE: '2', LOCAL_RANK: '1' })).to.include({
      ...{ launcher: 'torchrun', localRank: 1, mpi: null },
    });
  });

  it('knows where those on GPUs meet', () => {
    const meeting = (more: NodeJS.ProcessEnv) => findRanks({ RANK: '1', WORLD_SIZE: '2', ...more })?.meeting;
    expect(meeting({ MASTER_ADDR: 'first', MASTER_PORT: '29500' })).to.deep.equal({ address: 'first', port: 29500 });
    // torchrun listens there itself.
    const agent = { TORCHELASTIC_USE_AGENT_STORE: 'True', MASTER_ADDR: 'first' };
    expect(meeting({ ...agent, MASTER_PORT: '29500' })?.port).to.equal(30500);
    expect(meeting({ ...agent, MASTER_PORT: '65000' })?.port).to.equal(64000);
    for (const MASTER_PORT of ['', '0', '65536', 'http', '1.5'])
      expect(meeting({ MASTER_ADDR: 'first', MASTER_PORT })).to.equal(null);
    expect(meeting({ MASTER_PORT: '29500' })).to.equal(null);
  });

  it('takes a process by itself for one', () => {
    expect(findRanks({})).to.equal(null);
    expect(findRanks({ OMPI_COMM_WORLD_RANK: '0', OMPI_COMM_WORLD_SIZE: '1' })).to.equal(null);
    // Tasks of srun without MPI are runs of their own.
    expect(findRanks({ SLURM_PROCID: '3', SLURM_NTASKS: '8' })).to.equal(null);
    expect(findRanks({ RANK: 'first', WORLD_SIZE: '2' })).to.equal(null);
    expect(findRanks({ RANK: '5', WORLD_SIZE: '2' })).to.equal(null);
  });
});
