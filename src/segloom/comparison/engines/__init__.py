"""Where the runs of a comparison are computed: processes here, Slurm jobs or Ray tasks."""
