"""The memory that a run keeps from one node to the next."""

from kedro.framework.hooks import hook_impl

from quant_pipeline.common.allocation import give_back_what_is_free


class AllocationHooks:
    """Bound what the process of a run keeps of the memory of its nodes, see `common.allocation`."""

    @hook_impl
    def before_node_run(self) -> None:
        """Give back what the nodes before, and the tables that no node needs any more, have left free."""
        give_back_what_is_free()
