#!/usr/bin/env bash
# A SLURM cluster of two nodes on this one machine, to try the sbatch example without a real cluster.
#
#   examples/slurm/start_cluster.sh FOLDER     start it; prints the SLURM_CONF to export
#   examples/slurm/stop_cluster.sh FOLDER      stop it
#
# Needs Debian's or Ubuntu's slurm-wlm (munge comes with it): apt-get install --no-install-recommends slurm-wlm
# Everything (key, sockets, state, logs) lies below FOLDER; nothing of /etc or of a service manager is touched.
# Runs as the calling user, root or not; only that user can submit jobs.
set -euo pipefail

folder=${1:?usage: start_cluster.sh FOLDER}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
# Each step has a socket FOLDER/spool/node1/node1_JOB.STEP, and the path of a socket has at most 107 characters.
if [ ${#folder} -gt 64 ]; then
    echo "$folder: too long a path: no job could start. Take one of at most 64 characters, as /tmp/slurm" >&2
    exit 2
fi
export PATH="$PATH:/usr/sbin:/sbin"
for tool in munged slurmctld slurmd sinfo; do
    command -v "$tool" >/dev/null || { echo "$tool is not installed: apt-get install slurm-wlm" >&2; exit 2; }
done

host=$(hostname -s)
user=$(id -un)
port=${SLURM_EXAMPLE_PORT:-17100}
cores=${SLURM_EXAMPLE_CORES:-2}
umask 022
mkdir -p "$folder"/{munge,state,spool,log}
chmod 755 "$folder" "$folder"/{munge,state,spool,log}

[ -f "$folder/munge/key" ] || (umask 077 && head -c 1024 /dev/urandom >"$folder/munge/key")

cat >"$folder/slurm.conf" <<CONF
ClusterName=vidmetrics
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool/%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.%n.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1
ReturnToService=2
SlurmdParameters=config_overrides
MailProg=/bin/true
NodeName=node1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 1)) CPUs=$cores State=UNKNOWN
NodeName=node2 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 2)) CPUs=$cores State=UNKNOWN
PartitionName=all Nodes=node1,node2 Default=YES MaxTime=60 State=UP
CONF

export SLURM_CONF="$folder/slurm.conf"
# --force: munge would refuse a folder that other users cannot enter; here there are no other users.
munged --force --key-file="$folder/munge/key" --socket="$folder/munge/socket" --pid-file="$folder/munge/pid" \
    --log-file="$folder/log/munged.log" --seed-file="$folder/munge/seed"
slurmctld
slurmd -N node1
slurmd -N node2

for _ in $(seq 30); do
    [ "$(sinfo --noheader --states=idle --format=%D)" = 2 ] && break
    sleep 1
done
sinfo
[ "$(sinfo --noheader --states=idle --format=%D)" = 2 ] || { echo "the nodes did not come up: see $folder/log" >&2; exit 1; }
echo "export SLURM_CONF=$SLURM_CONF"
