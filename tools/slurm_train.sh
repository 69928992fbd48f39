#!/bin/bash
# An example for SLURM: one system on 2 machines with 4 GPUs each.
#
#     sbatch tools/slurm_train.sh ssseg_r50_d8_voc runs/voc --data-root /data/VOCdevkit/VOC2012
#
# It has not been run on a cluster: only the reading of SLURM's variables is tested. Adapt partition, account, modules.
# The run's folder and the data must be visible to all machines. The batch size of the recipe is the total, here 2 images
# per GPU. Submitted again with the same line, the job goes on where it was left.
#
#SBATCH --job-name=dmnet
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4          # one process per GPU
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
#SBATCH --signal=TERM@120            # two minutes before the end: finish the step and save
#SBATCH --requeue                    # after a pre-emption the job is queued again

system=$1 run=$2
shift 2

# srun tells every process its place; --devices and --nodes follow from it. --resume begins a run that isn't there yet.
srun --kill-on-bad-exit=1 dmnet train "$system" --run "$run" --resume --device cuda --workers 7 "$@"
