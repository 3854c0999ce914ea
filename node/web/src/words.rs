//! Every text of the pages, in English and in Chinese, side by side.
//!
//! `{}` stands for what is filled in. What the controller says in sentences (reasons, alarms, refusals) is
//! English in both: it is what logs and the command line say too, and what people search for.

use vaquita_core::admin::{NodeState, Right};
use vaquita_core::dfs::ask::{ChunkState, ReplicaDeed, ReplicaState, VolumeState};
use vaquita_core::ids::Role;

macro_rules! words {
    ($($name:ident: $english:literal, $chinese:literal;)*) => {
        /// The texts of one language.
        #[derive(Debug)]
        #[expect(missing_docs, reason = "each text says itself what it is")]
        pub struct Words {
            $(pub $name: &'static str,)*
        }

        /// English.
        pub static ENGLISH: Words = Words { $($name: $english,)* };
        /// Chinese, in simplified characters.
        pub static CHINESE: Words = Words { $($name: $chinese,)* };

        #[cfg(test)]
        const PAIRS: &[(&str, &str, &str)] = &[$((stringify!($name), $english, $chinese),)*];
    };
}

words! {
    // Everywhere.
    skip_to_content: "Skip to the content", "跳到正文";
    main_navigation: "Main navigation", "主导航";
    connection_lost: "No connection to the controller; what is shown may be old.", "与控制节点的连接已断开，显示的内容可能已过期。";
    appearance: "Appearance", "外观";
    language: "Language", "语言";
    theme: "Theme", "主题";
    theme_auto: "Auto", "自动";
    theme_light: "Light", "浅色";
    theme_dark: "Dark", "深色";
    cancel: "Cancel", "取消";
    confirm: "Yes, do it", "确定";
    apply: "Apply", "应用";
    show: "Show", "显示";
    set: "Set", "设置";
    create: "Create", "新建";
    delete: "Delete", "删除";
    actions: "Actions", "操作";
    select_all: "Select all", "全选";
    n_selected: "{} selected", "已选 {} 项";
    more: "More", "更多";
    older: "Older", "更早";
    newest: "Newest", "最新";
    back_to_overview: "Back to the overview", "返回总览";
    not_allowed: "Not allowed", "没有权限";
    not_found: "Not found", "未找到";
    something_is_wrong: "That did not work", "操作未成功";
    ask_controller: "Open the cluster manager", "打开集群管理器";
    manager_elsewhere: "This process belongs to a Vaquita cluster. The cluster manager is on its controller.", "此进程属于一个 Vaquita 集群。集群管理器在控制节点上。";
    // Sections.
    overview: "Overview", "总览";
    files: "Files", "文件";
    volumes: "Volumes", "存储卷";
    repair: "Repair", "修复";
    logs: "Logs", "日志";
    users: "Users", "用户";
    account: "Account", "账户";
    // Logging in.
    log_in: "Log in", "登录";
    log_out: "Log out", "退出登录";
    user_name: "User", "用户名";
    password: "Password", "密码";
    setup_code: "Setup code", "初始化码";
    setup_code_hint: "The first login from another machine needs it. It is in the controller's log, and in the file setup-code in the controller's directory.", "首次从其他机器登录时需要。初始化码在控制节点的日志中，也在控制节点目录的 setup-code 文件里。";
    first_login_hint: "A new cluster has the user admin with the password 123456. It may do nothing but change this password.", "新集群的初始用户为 admin，密码为 123456。首次登录后必须先修改密码。";
    session_ended: "Your session has ended. Please log in again.", "会话已结束，请重新登录。";
    clear_text_warning: "This page was not loaded over HTTPS: whoever listens on the network can read the password.", "此页面未使用 HTTPS：网络上的监听者可以读到密码。";
    logged_out: "You are logged out.", "您已退出登录。";
    change_password: "Change the password", "修改密码";
    change_password_forced: "Before anything else, choose a password of your own.", "继续之前，请先设置您自己的密码。";
    password_old: "Present password", "当前密码";
    password_new: "New password", "新密码";
    password_again: "New password again", "再次输入新密码";
    password_rules: "10 to 128 bytes; no common password, and not the name of a user or a node.", "10 到 128 字节；不能是常见密码，也不能与用户名或节点名相同。";
    passwords_differ: "The two new passwords are not the same.", "两次输入的新密码不一致。";
    password_changed: "The password is changed. Please log in with it.", "密码已修改，请用新密码登录。";
    // Roles and rights.
    role: "Role", "角色";
    rights: "Rights", "权限";
    role_admin: "administrator", "管理员";
    role_operator: "operator", "操作员";
    role_viewer: "viewer", "观察者";
    right_admin: "administer", "管理";
    right_operate: "operate", "运维";
    right_dfs_read: "read files", "读文件";
    right_dfs_write: "write files", "写文件";
    right_log_read: "read logs", "读日志";
    all_rights: "all of the user's", "用户的全部权限";
    // Configuration.
    config: "Configuration", "配置";
    config_hint: "The files on the controller's host, which an editor may change as well. What is written here is checked first, and the text before is kept.", "控制节点主机上的配置文件，也可以用编辑器修改。此处保存前会先检查，并保留旧版本。";
    about_controller: "the controller's own settings", "控制节点自身的参数";
    about_nodes: "the members of the cluster", "集群成员";
    about_cluster: "settings of the data nodes", "数据节点的参数";
    findings: "Findings", "检查结果";
    n_findings: "{} errors, {} warnings", "{} 个错误，{} 个警告";
    in_force: "in force", "已生效";
    not_in_force: "not taken up yet", "尚未生效";
    no_file: "not there", "不存在";
    reload: "Take up the files", "重新载入";
    reload_hint: "After a change by an editor; what is saved here is taken up at once.", "用编辑器修改后使用；在此保存会立即生效。";
    reloaded: "Taken up.", "已载入。";
    pending: "Waits for a restart of the controller", "等待控制节点重启";
    pending_hint: "Everything else goes on while the controller restarts; clients wait for it.", "控制节点重启期间其他进程继续运行，客户端会等待。";
    key: "Key", "参数";
    value: "Value", "值";
    running: "Running", "运行值";
    in_file: "In the file", "文件值";
    default: "Default", "默认值";
    needs: "What it takes", "生效条件";
    standing_current: "as the files say", "与文件一致";
    standing_restart: "restart pending", "等待重启";
    standing_stopped: "stopped", "已停止";
    standing_unknown: "not known", "未知";
    standing_reload: "not taken up yet", "尚未载入";
    restart_outdated: "Restart those that wait, one after the other", "逐个重启等待中的节点";
    difference: "What changes", "变更内容";
    members: "Members", "成员";
    remove: "Remove", "移除";
    confirm_remove_member: "Take this row out? A data node that has chunks has to be removed or drained first; else this is refused.", "移除此行？仍有数据块的数据节点须先排空或移除，否则会被拒绝。";
    add_members: "Add nodes", "添加节点";
    add_members_hint: "On a new host an agent has to be set up first. What is added counts at once, without a restart.", "新主机需先配置代理。添加后立即生效，无需重启。";
    agent_site: "Agent, for a new host", "新主机的代理";
    agent_site_hint: "PORT:ALIAS; leave it empty where the host has an agent.", "端口:别名；主机已有代理时留空。";
    how_many: "How many data nodes", "数据节点数量";
    name_prefix: "Name begins with", "名称前缀";
    first_number: "First number", "起始编号";
    first_port: "First port", "起始端口";
    settings: "Settings", "参数设置";
    add_setting: "Add", "添加";
    text: "Text", "文本";
    comment: "What for", "说明";
    preview: "Preview", "预览";
    save: "Save", "保存";
    draft_is_back: "This is what you had typed here before. «Start over» shows the file.", "这是您之前在此输入的内容。点击“重新开始”可查看文件。";
    start_over: "Start over", "重新开始";
    previewed: "This is what would be written. Nothing has changed yet.", "以下为将写入的内容，尚未保存。";
    nothing_changes: "Nothing would change.", "没有变化。";
    saved: "Saved.", "已保存。";
    not_taken_up: "It was written, and the controller has not taken it up: {}", "已写入，但控制节点未载入：{}";
    stale: "Somebody else has changed this file meanwhile: nothing was written, and your text is still in the editor. Below is what it would change in the file as it is now; save again to write it.", "文件已被他人修改：未写入，您的文本仍在编辑框中。下方是相对当前文件的变更；再次保存即可写入。";
    versions: "Texts it had", "历史版本";
    no_versions: "It has not been changed here yet.", "尚未在此修改过。";
    undo: "Bring back this text", "恢复此版本";
    confirm_undo: "Write this text again?", "恢复此版本？";
    rules_for: "rules for {}: {}", "对 {} 个节点生效：{}";
    rules_nobody: "rules for nobody", "未生效";
    // Tokens and the audit.
    audit: "Audit", "审计";
    audit_hint: "Each entry is part of the controller's log, and covers all before it. The hash of the newest:", "每条记录都是控制节点日志的一部分，并覆盖之前的所有记录。最新一条的哈希：";
    audit_intact: "Entries {} to {}, unbroken", "第 {} 至 {} 条，完整";
    audit_broken: "Entries {} to {} do not fit to one another: somebody has changed them", "第 {} 至 {} 条不连贯：记录被改动过";
    when: "When", "时间";
    who: "Who", "用户";
    object: "On what", "对象";
    result: "Result", "结果";
    done: "done", "成功";
    ordered: "ordered", "已下令";
    refused: "refused", "拒绝";
    login: "Login", "登录";
    token: "Token", "令牌";
    tokens: "Logins and tokens", "登录与令牌";
    tokens_of_all: "Those of all users, since you administer the cluster.", "您是管理员，因此显示所有用户的。";
    this_session: "this one", "当前";
    issued: "Issued", "签发时间";
    expires: "Good until", "有效至";
    networks: "Networks", "网络";
    networks_hint: "From which it may be used, with commas between them; none for everywhere.", "允许使用的网络，用逗号分隔；留空表示不限。";
    revoke: "Revoke", "吊销";
    confirm_revoke: "Revoke this? Whoever uses it has to log in again.", "吊销？使用者需要重新登录。";
    make_token: "Make a token", "创建令牌";
    token_hint: "For a program, which sends it in the header Authorization: Bearer. It can do no more than you can, and is void when your password or your rights change.", "供程序使用，放在 Authorization: Bearer 头中。权限不超过您本人；您的密码或权限变更后失效。";
    token_label: "What it is for", "用途";
    token_days: "Days that it is good for", "有效天数";
    token_rights_hint: "None chosen: all of yours.", "不选表示您的全部权限。";
    token_exists: "You have a token `{}` already: revoke it, or give this one another label.", "您已有名为“{}”的令牌：请先吊销它，或换一个标签。";
    token_made: "The token, shown this once:", "令牌（只显示这一次）：";
    token_revoked: "Revoked.", "已吊销。";
    // Overview.
    alarms: "Needs attention", "需要处理";
    data_nodes: "Data nodes", "数据节点";
    agents: "Agents", "代理节点";
    agent: "Agent", "代理";
    node: "Node", "节点";
    state: "State", "状态";
    reason: "Reason", "原因";
    host: "Host", "主机";
    port: "Port", "端口";
    site: "Address", "地址";
    mode: "Mode", "类型";
    process_id: "Process", "进程号";
    epoch: "Epoch", "纪元";
    heard: "Last heard", "最近心跳";
    orders: "Order", "指令";
    filter: "Filter", "筛选";
    filter_nodes: "Filter nodes", "筛选节点";
    columns: "Columns", "列";
    select_nodes: "Select nodes:", "选择节点：";
    start: "Start", "启动";
    stop: "Stop", "停止";
    restart: "Restart", "重启";
    drain: "Drain", "排空";
    maintain: "Maintenance", "维护";
    serve: "Serve again", "恢复服务";
    confirm_stop: "Stop these nodes? Files stay readable as long as other nodes have their replicas.", "停止这些节点？只要其他节点有副本，文件仍可读取。";
    confirm_restart: "Restart these nodes, one after the other?", "逐个重启这些节点？";
    confirm_drain: "Drain these nodes? Their chunks are copied to others, and they take no new ones.", "排空这些节点？其数据块将复制到其他节点，且不再接收新数据块。";
    confirm_maintain: "Put these nodes into maintenance for an hour? For so long, nothing is copied in their place.", "让这些节点进入一小时的维护？期间不会为其补副本。";
    no_nodes: "There are no data nodes in cluster.nodes.", "cluster.nodes 中没有数据节点。";
    no_nodes_match: "No node matches the filter.", "没有符合筛选条件的节点。";
    nothing_selected: "No node is selected.", "没有选择节点。";
    ready: "ready", "就绪";
    not_ready: "not ready", "未就绪";
    runs_for: "Runs for", "已运行";
    own_page: "Its own page", "节点自身页面";
    own_page_through: "As it sees itself", "节点自述状态";
    own_page_hint: "This is what the node says of itself. Orders are given in the cluster manager.", "这是节点自身报告的状态。操作请在集群管理器中进行。";
    open_own_page: "Open the page of {}", "打开 {} 的页面";
    open_own_page_hint: "The page is on the node's own port. A token for an hour, which opens nothing else, is shown there. If the browser does not reach that address, look at the node through the controller instead.", "该页面位于节点自身的端口。将向其出示一个有效期一小时、不含任何权限的令牌。若浏览器无法访问该地址，请改为通过控制节点查看。";
    go_on: "Go on", "继续";
    rolling_title: "Restarting one after the other", "正在逐个重启";
    rolling_stops: "{} of {}: {} stops", "第 {} / {} 个：{} 正在停止";
    rolling_starts: "{} of {}: {} starts", "第 {} / {} 个：{} 正在启动";
    rolling_done: "Restarted: {}.", "已重启：{} 个节点。";
    rolling_begun: "To be restarted, one after the other: {}.", "将逐个重启：{} 个节点。";
    rolling_stopped: "Stopped ones stay so: {}", "已停止的节点保持停止：{}";
    rolling_stopped_meanwhile: "somebody has stopped it meanwhile, and it stays so", "其间已被他人停止，保持停止状态";
    rolling_bug: "by a bug in this program, which its log tells of", "程序内部错误，详见日志";
    rolling_under_way: "Nodes are being restarted already: wait for the end of that.", "正在进行逐个重启，请等待其完成。";
    rolling_ended: "The restart of nodes has ended at {}, and the rest was not touched: {}", "重启在 {} 处中止，其余节点未受影响：{}";
    rolling_too_long: "it has not become {} within {} s", "{} 状态未在 {} 秒内达到";
    nodes_online: "Data nodes online", "在线数据节点";
    last_commit: "Commit index", "提交序号";
    uptime: "Controller up for", "控制节点已运行";
    log_copies: "Copies of the controller's log", "控制节点日志副本";
    log_copies_hint: "From one of these, a lost controller is made anew.", "控制节点丢失时，可由任一副本重建。";
    records_up_to: "Records up to", "记录至";
    complete: "complete", "完整";
    under_way: "under way", "进行中";
    stored: "Stored", "已存储";
    chunks_unwell: "Chunks to repair", "待修复数据块";
    all_well: "all well", "全部正常";
    files_and_chunks: "Files", "文件数";
    // Figures.
    nodes: "Nodes", "节点";
    charts: "The last hour", "最近一小时";
    no_charts: "Charts begin some seconds after the controller's start.", "控制节点启动数秒后开始绘图。";
    chart_latest: "{} now, {} at most", "当前 {}，最高 {}";
    cpu: "CPU", "CPU";
    memory: "Memory", "内存";
    memory_limit: "Memory limit", "内存上限";
    load: "Load", "负载";
    connections: "Connections", "连接数";
    connections_limit: "Connection limit", "连接上限";
    workers: "Workers", "工作线程";
    threads: "Threads", "线程";
    disk_capacity: "Disk capacity", "磁盘容量";
    disk_free: "Disk free", "磁盘剩余";
    disk_free_share: "Disk free ratio", "磁盘剩余率";
    disk_read_rate: "Disk reads", "磁盘读速率";
    disk_write_rate: "Disk writes", "磁盘写速率";
    last_minute_disk_read: "Read in a minute", "最近一分钟读量";
    last_minute_disk_written: "Written in a minute", "最近一分钟写量";
    send_rate: "Network out", "网络发送";
    receive_rate: "Network in", "网络接收";
    last_minute_sent: "Sent in a minute", "最近一分钟发送";
    last_minute_received: "Received in a minute", "最近一分钟接收";
    chunk_reads: "Chunk reads", "数据块读取";
    chunk_writes: "Chunk writes", "数据块写入";
    reading: "Files being read", "正在读取的文件";
    writing: "Files being written", "正在写入的文件";
    median_10: "Median of 10", "最近10次中位";
    max_10: "Longest of 10", "最近10次最长";
    median_100: "Median of 100", "最近100次中位";
    max_100: "Longest of 100", "最近100次最长";
    latency: "Heartbeat latency", "心跳延迟";
    latency_sum: "Latency in total", "累计心跳延迟";
    process_uptime: "Up for", "运行时间";
    disk: "Disk", "磁盘";
    network: "Network", "网络";
    commits: "Commits", "提交";
    chart_reads: "read", "读";
    chart_writes: "written", "写";
    chart_sent: "sent", "发送";
    chart_received: "received", "接收";
    // States.
    state_stopped: "stopped", "已停止";
    state_starting: "starting", "启动中";
    state_joining: "joining", "加入中";
    state_online: "online", "在线";
    state_suspect: "suspect", "疑似失联";
    state_offline: "offline", "离线";
    state_lost: "lost", "已丢失";
    state_draining: "draining", "排空中";
    state_drained: "drained", "已排空";
    state_stopping: "stopping", "停止中";
    state_failed: "failed", "失败";
    state_maintenance: "maintenance", "维护中";
    mode_controller: "controller", "控制节点";
    mode_agent: "agent", "代理节点";
    mode_datanode: "data node", "数据节点";
    // Volumes.
    directory: "Directory", "目录";
    fill: "Fill", "使用率";
    free: "Free", "剩余";
    capacity: "Capacity", "容量";
    rescan: "Open again", "重新打开";
    no_volumes: "No node has told of a volume yet.", "尚无节点报告存储卷。";
    volumes_total: "{} volumes, {} of {} free", "{} 个存储卷，剩余 {} / {}";
    confirm_volume_drain: "Drain this volume? Its chunks go to other volumes, so that its disk can be taken away.", "排空此存储卷？其数据块将移到其他存储卷，以便取走磁盘。";
    volume_opening: "opening", "打开中";
    volume_good: "good", "正常";
    volume_high: "filling up", "将满";
    volume_full: "full", "已满";
    volume_slow: "slow", "缓慢";
    volume_missing: "missing", "缺失";
    volume_foreign: "foreign", "不属于此节点";
    volume_failed: "failed", "故障";
    // Repair.
    repair_waits: "Repair waits", "修复暂停";
    suspend: "Suspend", "暂停";
    resume: "Resume", "恢复";
    wrong_password_nothing_done: "That is not your password. Nothing was done.", "密码不正确，未执行任何操作。";
    own_password_token: "For a token with all of your rights, or for administering.", "创建拥有您全部权限或管理权限的令牌时需要。";
    own_password_users: "Needed before somebody becomes an administrator or gets another password; counts for five minutes.", "设置管理员或修改他人密码之前需要，五分钟内有效。";
    password_needed: "Nothing was done: this takes your password once more. Type it into the field for it on this page.", "未执行：此操作需要再次输入您的密码，请在本页相应的输入框中填写。";
    password_confirmed: "That is your password. It counts for five minutes.", "密码正确，五分钟内有效。";
    your_password: "Your password", "您的密码";
    give_up_node: "Take it out of the cluster", "将其移出集群";
    give_up_node_hint: "For a machine that does not come back. Its replicas count no more, and whatever comes back under its identity is refused. Drain it instead if it still runs. For chunks that nobody else has, write its name below: they are lost with it.", "用于不再恢复的机器。其副本将不再计入，以其身份重新出现的进程会被拒绝。若它仍在运行，请改用排空。若有数据块仅存于该节点，请在下方填写其名称以接受丢失。";
    accept_loss_of: "Name of the node whose loss is accepted", "接受其数据丢失的节点名称";
    remove_node: "Remove {} for good", "永久移除 {}";
    replace_node: "Let another machine have its name", "让另一台机器使用其名称";
    settle_loss: "Give up what no file names", "放弃不属于任何文件的数据块";
    settle_loss_hint: "After records of the log were lost: {} chunks that nodes have and no file names are kept until then. `vaquita chunk unknown` lists them.", "日志记录丢失之后：节点上有 {} 个不属于任何文件的数据块，会一直保留到此时。`vaquita chunk unknown` 可列出它们。";
    loss_settled: "They are given up.", "已放弃。";
    confirm_suspend: "Suspend repair? Nothing that is lost is copied until it is resumed, or the controller starts anew.", "暂停修复？在恢复或控制节点重启之前，不会补齐丢失的副本。";
    repair_well: "Every chunk is well.", "所有数据块正常。";
    repair_surveying: "All chunks are being looked through.", "正在检查所有数据块。";
    repair_busy: "{} chunks are to be repaired.", "有 {} 个数据块待修复。";
    last_copy: "On their last replica", "仅剩一个副本";
    degraded: "Too few replicas", "副本不足";
    misplaced: "On one host", "同一主机";
    surplus: "Too many replicas", "副本过多";
    leaving: "Leaving drained nodes", "正在撤离";
    bytes_left: "To be copied", "待复制";
    copied: "Copied so far", "已复制";
    copies_failed: "Copies that failed", "复制失败";
    unknown_contents: "Contents of no file", "无主数据块";
    copies_under_way: "Copies under way", "正在复制";
    stuck: "What stands still", "无法进行";
    awaited: "Nodes that are waited for", "等待返回的节点";
    time_left: "Still for", "剩余时间";
    until_it_returns: "until it returns", "直到返回";
    repair_history: "What was done", "处理记录";
    no_history: "Nothing has been done since this controller started.", "控制节点启动以来没有处理记录。";
    what: "What", "处理";
    ago: "Ago", "多久前";
    since: "Since", "已持续";
    from: "From", "来源";
    to: "To", "目标";
    in_place_of: "In place of", "替代";
    deed_copied: "copied", "已复制";
    deed_not_copied: "copy failed", "复制失败";
    deed_adopted: "counted again", "重新计入";
    deed_given_up: "given up", "已放弃";
    // Files.
    path: "Path", "路径";
    name: "Name", "名称";
    size: "Size", "大小";
    file: "File", "文件";
    chunk: "Chunk", "数据块";
    chunks: "Chunks", "数据块";
    replicas: "Replicas", "副本";
    modified: "Modified", "修改时间";
    digest: "Digest", "摘要";
    generation: "Generation", "代次";
    position: "Position in its file", "在文件中的位置";
    download: "Download", "下载";
    upload: "Upload", "上传";
    uploading: "uploading", "上传中";
    uploaded: "done", "完成";
    upload_failed: "failed", "失败";
    upload_replace: "{} is there already. Replace it?", "{} 已存在，要替换吗？";
    rename: "Rename", "重命名";
    new_name: "New name", "新名称";
    new_directory: "New directory", "新目录";
    empty_directory: "This directory is empty.", "此目录为空。";
    no_chunks: "An empty file has no chunks.", "空文件没有数据块。";
    confirm_remove_files: "Delete these, with all that is in them? This cannot be undone.", "删除所选内容及其下的一切？此操作无法撤销。";
    removed_n: "Deleted: {}.", "已删除：{}。";
    made_directory: "Made the directory {}.", "已新建目录 {}。";
    renamed_to: "Renamed to {}.", "已重命名为 {}。";
    usage_line: "Files: {}, {} ({} on disks)", "文件：{}，{}（磁盘占用 {}）";
    chunk_healthy: "well", "正常";
    chunk_degraded: "too few replicas", "副本不足";
    chunk_misplaced: "on one host", "同一主机";
    chunk_surplus: "too many replicas", "副本过多";
    chunk_unconfirmed: "not confirmed yet", "待确认";
    chunk_unavailable: "not to be had", "不可用";
    replica_good: "good", "正常";
    replica_unconfirmed: "not confirmed", "待确认";
    replica_suspect: "suspect", "疑似失联";
    replica_away: "node away", "节点离开";
    replica_missing: "missing", "缺失";
    replica_corrupt: "damaged", "损坏";
    // Logs.
    log: "Log", "日志";
    process: "Process", "进程";
    logs_hint: "The log of a node that is down comes from the agent of its host.", "已停止节点的日志由其主机上的代理提供。";
    search_log: "Search the log", "搜索日志";
    live_tail: "Follow", "跟随";
    log_present: "present file", "当前文件";
    log_before: "{} before", "前第 {} 个";
    log_empty: "The log is empty.", "日志为空。";
    log_no_match: "No line has this text.", "没有匹配的行。";
    log_place: "{} of {}", "{} / {}";
    // Users.
    users_hint: "Every user sees the state of the cluster. Files, logs and orders take a right.", "每个用户都能查看集群状态；文件、日志和指令需要相应权限。";
    must_change: "first password", "初始密码";
    new_password: "New password", "新密码";
    add_user: "Add a user", "添加用户";
    its_password: "Password", "密码";
    is_admin: "administers the cluster", "管理集群";
    confirm_rights: "Change whether this user administers the cluster? The user is logged out.", "更改此用户的管理权限？该用户将被登出。";
    confirm_remove_user: "Delete this user?", "删除此用户？";
    user_added: "The user {} is there.", "用户 {} 已添加。";
    user_removed: "The user {} is gone.", "用户 {} 已删除。";
    user_changed: "The user {} is changed, and has to log in again.", "用户 {} 已更改，需要重新登录。";
}

/// A text with what is filled in for each `{}`, in order.
#[must_use]
pub fn fill(text: &str, parts: &[&str]) -> String {
    let mut filled = String::with_capacity(text.len() + 16);
    let mut parts = parts.iter();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{}") {
        filled.push_str(before);
        filled.push_str(parts.next().copied().unwrap_or_default());
        rest = after;
    }
    filled.push_str(rest);
    filled
}

/// The word for a node's state.
#[must_use]
pub const fn node_state(t: &Words, state: NodeState) -> &'static str {
    match state {
        NodeState::Stopped => t.state_stopped,
        NodeState::Starting => t.state_starting,
        NodeState::Joining => t.state_joining,
        NodeState::Online => t.state_online,
        NodeState::Suspect => t.state_suspect,
        NodeState::Offline => t.state_offline,
        NodeState::Lost => t.state_lost,
        NodeState::Draining => t.state_draining,
        NodeState::Stopping => t.state_stopping,
        NodeState::Failed => t.state_failed,
    }
}

/// The word for a volume's state.
#[must_use]
pub const fn volume_state(t: &Words, state: VolumeState) -> &'static str {
    match state {
        VolumeState::Opening => t.volume_opening,
        VolumeState::Good => t.volume_good,
        VolumeState::High => t.volume_high,
        VolumeState::Full => t.volume_full,
        VolumeState::Slow => t.volume_slow,
        VolumeState::Missing => t.volume_missing,
        VolumeState::Foreign => t.volume_foreign,
        VolumeState::Failed => t.volume_failed,
    }
}

/// The word for a chunk's state.
#[must_use]
pub const fn chunk_state(t: &Words, state: ChunkState) -> &'static str {
    match state {
        ChunkState::Healthy => t.chunk_healthy,
        ChunkState::Degraded => t.chunk_degraded,
        ChunkState::Misplaced => t.chunk_misplaced,
        ChunkState::Surplus => t.chunk_surplus,
        ChunkState::Unconfirmed => t.chunk_unconfirmed,
        ChunkState::Unavailable => t.chunk_unavailable,
    }
}

/// The word for a replica's state.
#[must_use]
pub const fn replica_state(t: &Words, state: ReplicaState) -> &'static str {
    match state {
        ReplicaState::Good => t.replica_good,
        ReplicaState::Unconfirmed => t.replica_unconfirmed,
        ReplicaState::Suspect => t.replica_suspect,
        ReplicaState::Away => t.replica_away,
        ReplicaState::Missing => t.replica_missing,
        ReplicaState::Corrupt => t.replica_corrupt,
    }
}

/// The word for what was done about a replica.
#[must_use]
pub const fn deed(t: &Words, deed: ReplicaDeed) -> &'static str {
    match deed {
        ReplicaDeed::Copied => t.deed_copied,
        ReplicaDeed::NotCopied => t.deed_not_copied,
        ReplicaDeed::Adopted => t.deed_adopted,
        ReplicaDeed::GivenUp => t.deed_given_up,
    }
}

/// The word for what a process is.
#[must_use]
pub const fn mode(t: &Words, role: Role) -> &'static str {
    match role {
        Role::Controller => t.mode_controller,
        Role::Agent => t.mode_agent,
        Role::DataNode => t.mode_datanode,
    }
}

/// The word for a right.
#[must_use]
pub const fn right(t: &Words, right: Right) -> &'static str {
    match right {
        Right::Admin => t.right_admin,
        Right::Operate => t.right_operate,
        Right::DfsRead => t.right_dfs_read,
        Right::DfsWrite => t.right_dfs_write,
        Right::LogRead => t.right_log_read,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages_say_everything_and_fill_in_the_same() {
        for (name, english, chinese) in PAIRS {
            assert!(!english.is_empty() && !chinese.is_empty(), "{name}");
            let blanks = |text: &str| text.matches("{}").count();
            assert_eq!(blanks(english), blanks(chinese), "{name}");
            let is_han = |it: char| ('\u{4e00}'..='\u{9fff}').contains(&it);
            assert!(
                chinese.chars().any(is_han) || ["log_place", "cpu"].contains(name),
                "{name}"
            );
            assert!(!english.chars().any(is_han), "{name}");
        }
    }

    #[test]
    fn blanks_are_filled_in_order() {
        assert_eq!(fill("{} of {}", &["1", "2"]), "1 of 2");
        assert_eq!(fill("{} and {}", &["{}"]), "{} and ");
        assert_eq!(fill("none", &["1"]), "none");
    }
}
