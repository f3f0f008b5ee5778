//! CUDA graphs: kernels one after the other that the driver starts by one call.

use std::ffi::c_void;
use std::ptr::null_mut;

use cudarc::driver::sys::{
    self, CUDA_KERNEL_NODE_PARAMS, CUfunction, CUgraph, CUgraphExec, CUgraphInstantiate_flags,
    CUgraphNode,
};
use cudarc::driver::{CudaStream, DriverError, result};

use super::kernels;
use super::launches::Launches;
use super::machine::{Launch, pointers};

/// Kernels in a row, made ready to start.
pub struct Graph {
    graph: CUgraph,
    /// What starts; null as long as it is not made.
    executable: CUgraphExec,
    kernels: Vec<Kernel>,
}

/// A kernel in the graph. Its node names it in what starts, too.
struct Kernel {
    node: CUgraphNode,
    function: CUfunction,
}

impl Graph {
    /// The launches of these functions, one after the other, with what the GPU needs to start them
    /// on that stream.
    ///
    /// # Safety
    /// There must be one function a launch, of the stream's context, which stays loaded until the
    /// graph is gone; the launches' arguments must be values of its parameters.
    pub unsafe fn new(
        stream: &CudaStream,
        launches: &Launches,
        functions: &[CUfunction],
    ) -> Result<Self, DriverError> {
        let mut graph = null_mut();
        // SAFETY: the pointer is to a place that lives through the call.
        unsafe { sys::cuGraphCreate(&mut graph, 0) }.result()?;
        let mut this = Self {
            graph,
            executable: null_mut(),
            kernels: Vec::with_capacity(functions.len()),
        };
        for (index, &function) in functions.iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { this.append(launches, index, function)? };
        }
        // SAFETY: the graph is whole and alive.
        this.executable =
            unsafe { result::graph::instantiate(this.graph, CUgraphInstantiate_flags(0))? };
        // SAFETY: it was just made, and the stream is alive.
        unsafe { result::graph::upload(this.executable, stream.cu_stream())? };
        Ok(this)
    }

    /// Adds a kernel that starts when those before it are done.
    ///
    /// # Safety
    /// As for [`new`](Self::new).
    unsafe fn append(
        &mut self,
        launches: &Launches,
        index: usize,
        function: CUfunction,
    ) -> Result<(), DriverError> {
        let before: Vec<_> = self
            .kernels
            .last()
            .map(|last| last.node)
            .into_iter()
            .collect();
        let arguments = launches.arguments(index);
        let mut pointers = pointers(&arguments);
        let parameters = parameters(&launches.all()[index], function, &mut pointers);
        let mut node = null_mut();
        // SAFETY: the graph and the nodes before are alive, and the pointers are to what lives
        // through the call, which copies the arguments; by the caller's promise they are the
        // function's.
        unsafe {
            sys::cuGraphAddKernelNode_v2(
                &mut node,
                self.graph,
                before.as_ptr(),
                before.len(),
                &parameters,
            )
        }
        .result()?;
        self.kernels.push(Kernel { node, function });
        Ok(())
    }

    /// Gives the kernel at `index` its arguments in `launches`.
    ///
    /// # Safety
    /// The launch must be that kernel's, with values of its parameters.
    pub unsafe fn update(&mut self, launches: &Launches, index: usize) -> Result<(), DriverError> {
        let Kernel { node, function } = self.kernels[index];
        let arguments = launches.arguments(index);
        let mut pointers = pointers(&arguments);
        let parameters = parameters(&launches.all()[index], function, &mut pointers);
        // SAFETY: the node is one of the graph that the executable was made of, and both are alive;
        // the call copies the arguments, which are the function's by the caller's promise. A start
        // before this may still run: "already enqueued or running launches of hGraphExec are not
        // affected by this call" (CUDA Driver API, cuGraphExecKernelNodeSetParams).
        unsafe { sys::cuGraphExecKernelNodeSetParams_v2(self.executable, node, &parameters) }
            .result()
    }

    /// Starts the kernels.
    ///
    /// # Safety
    /// They must find memory wherever they read or write, when the work before on the stream is
    /// done.
    pub unsafe fn start(&self, stream: &CudaStream) -> Result<(), DriverError> {
        // SAFETY: the executable and the stream are alive; memory is the caller's promise. A start
        // before this may still run: "each launch is ordered behind both any previous work in
        // hStream and any previous launches of hGraphExec" (CUDA Driver API, cuGraphLaunch).
        unsafe { result::graph::launch(self.executable, stream.cu_stream()) }
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        if !self.executable.is_null() {
            // SAFETY: it is alive, and used no more. One that runs is "freed asynchronously on
            // completion" (CUDA Driver API, cuGraphExecDestroy).
            unsafe { result::graph::exec_destroy(self.executable) }.ok();
        }
        // SAFETY: it is alive, and used no more.
        unsafe { result::graph::destroy(self.graph) }.ok();
    }
}

/// A launch as graphs take it. The function knows its context.
fn parameters(
    launch: &Launch,
    function: CUfunction,
    pointers: &mut [*mut c_void],
) -> CUDA_KERNEL_NODE_PARAMS {
    let Launch {
        kernel,
        grid,
        block,
    } = *launch;
    CUDA_KERNEL_NODE_PARAMS {
        func: function,
        gridDimX: grid[0],
        gridDimY: grid[1],
        gridDimZ: grid[2],
        blockDimX: block[0],
        blockDimY: block[1],
        blockDimZ: block[2],
        sharedMemBytes: kernels::shared_bytes(kernel),
        kernelParams: pointers.as_mut_ptr(),
        extra: null_mut(),
        kern: null_mut(),
        ctx: null_mut(),
    }
}
