# What somebody with an account may do who is no agent.
@ACL = map { { GroupDomain => 'SystemInternal', GroupType => 'Everyone', Queue => 'General', Right => $_ } }
    qw(SeeQueue CreateTicket ShowTicket ReplyToTicket);
1;
